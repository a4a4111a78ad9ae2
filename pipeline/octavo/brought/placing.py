"""Put a network's file that was fetched from a registry into place, complete or not at all."""

from pathlib import Path

from octavo.onnx_graph import external_tensors, file_io
from octavo.onnx_graph.foreign import reading


def check_onnx(path: Path) -> None:
    """Check that a file holds an ONNX network that can be brought in.

    Raises:
        ModelError: it does not.
    """
    reading.read(path)


def in_one_file(path: Path, target: Path) -> None:
    """Write an ONNX model with external data to `target`, with its weights inside, or above 2 GB in `<target>.data`.

    External data have any names, and only such as begin with the file's name are watched. The same model gives the
    same bytes.

    Raises:
        ModelError: the model is damaged, or its external data are missing or outside its folder.
    """
    file_io.save(*external_tensors.detach(file_io.load(path)), target)


def put(made: Path, target: Path) -> None:
    """Move the file `made`, after its external data, to `target` of the same name, on the same disk.

    External data of an earlier file at `target` are deleted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _data(made)
    for path in (*beside, made):
        path.replace(target.with_name(path.name))
    if not beside:
        for stale in _data(target):
            stale.unlink()


def _data(path: Path) -> list[Path]:
    """The file with external data that `file_io.save` writes beside a large model, if it is there."""
    data = path.with_name(f"{path.name}.data")
    return [data] if data.is_file() else []
