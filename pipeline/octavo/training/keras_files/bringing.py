"""Export a network that was read from a file, check that it fits the data, and record where it comes from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octavo.backends import network_notes
from octavo.backends.onnxruntime import session as onnx_runtime
from octavo.brought import fitness, record
from octavo.data.input_encoding import encode, fitted
from octavo.data.splits import Manifest, load_split
from octavo.onnx_graph import file_io
from octavo.onnx_graph.foreign import bringing
from octavo.onnx_graph.foreign.reading import ending, is_fake_quantized
from octavo.project import paths, story
from octavo.project.params.encoding import InputEncoding
from octavo.training.export import Run

Write = Callable[[np.ndarray, Path, InputEncoding], None]
"""Export the network into a folder: examples to check it on, encoded; the folder; the encoding to declare."""


@dataclass(frozen=True)
class BroughtNetwork:
    """A network that was read from a file."""

    file: Path
    """As `params.yaml` names it."""
    shape: tuple[int | None, ...]
    """Of one example as the network takes it; None for a free size."""
    run: Run
    """What it computes."""
    write: Write
    remarks: tuple[str, ...] = ()
    """What its scorecards say of it, one sentence each."""


def bring(name: str, opened: BroughtNetwork, manifest: Manifest) -> str:
    """Export the network called `name`, compare it with what was given, and record both.

    Args:
        name: of the network.
        opened: what was given.
        manifest: of the data.

    Returns:
        The result as a clause.

    Raises:
        ModelError: the network cannot be exported, or gives other outputs than the data has classes.
        DataError: the network takes examples of another shape.
    """
    encoding = fitted(manifest.encoding, manifest.image_shape, opened.shape)
    fitness.check_dtype(encoding, name)
    samples = encode(load_split(paths.split("calibration")).images[: bringing.EXAMPLES], encoding)
    target = paths.exported(name) / "model.onnx"
    with record.replaced(name):
        with story.counter(f"export {name}"):
            opened.write(samples, target.parent, encoding)
        wanted = opened.run(samples)
        difference = float(np.abs(wanted - onnx_runtime.open_model(target).run(samples)).max())
        spread = float(wanted.max() - wanted.min())
        accuracy, doubts = fitness.judge(name, target, manifest.classes)
        agreement = f"outputs differ from those of the given network by at most {difference:.2g}"
        remarks = [f"Brought from {opened.file}: {agreement}.", *opened.remarks, *_remarks(target), *doubts]
        network_notes.write(target.parent, remarks)
        record.write(name, opened.file, difference == 0, difference, spread)
    return f"{name}: brought from {opened.file}, {agreement}; accuracy {accuracy:.4f} on the selection split"


def _remarks(exported: Path) -> Iterator[str]:
    model = file_io.load(exported, external=False)
    if is_fake_quantized(model):
        yield "The given network quantizes activations itself. Every variant of it does so too, also those in float."
    if last := ending(model):
        yield f"The network ends in {last}, like the given one: its outputs are probabilities, not logits."
