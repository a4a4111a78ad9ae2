"""Bad command lines: options, names and paths that people type."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from octavo.project import cli
from tests.contracts.bad_input.kind import Kind

NO_PROJECT = "Change to a project's folder, make this one a project (octavo init), or quantize one model without"
LINES: list[tuple[str, str]] = [
    ("promte", "Unknown command 'promte'. Did you mean 'promote'? Known: approve, "),
    ("intt", "Did you mean 'init'?"),
    ("compare --jsn", "No such option '--jsn'. Did you mean '--json'?"),
    ("compare extra", "Got unexpected extra argument"),
    ("init --format tflite", "'tflite' is not one of 'onnx', 'litert', 'both'"),
    ("init a b", "Got unexpected extra argument"),
    ("init --data", "Option '--data' requires an argument"),
    ("init --yess", "No such option '--yess'. Did you mean '--yes'?"),
    ("init --yes", "is in no git repository, which DVC needs. Run git init, then this again"),
    ("init net.onnx/x --yes", "net.onnx is a file, and a project is a folder. Name another folder"),
    ("doctor --mend=1", "does not take a value"),
    ("schedule instal", "No such command 'instal'"),
    ("promote x --force", "name all three: VARIANT --force --reason"),
    ("upgrade nowhere", "No nowhere/dvc.yaml. To make this folder a project: octavo init"),
    ("upgrade net.onnx", "is a file"),
    ("status", "No params.yaml"),
    ("rollback", "No params.yaml"),
    ("audit", "No params.yaml"),
    ("quantize", "Missing argument 'MODEL'"),
    ("quantize net.onnx", "Missing option '--data'"),
    ("quantize gone.onnx --data a.npz", "gone.onnx is not there. MODEL is an ONNX file"),
    ("quantize artifacts --data a.npz", "artifacts is a folder. MODEL is an ONNX file"),
    ("quantize net.pt --data a.npz", "net.pt is no ONNX file. Export it to ONNX, with torch.onnx.export"),
    ("quantize net.onnx --data gone", "--data gone is not there. Give a folder of images, an array or a table"),
    ("quantize net.onnx --data a.npz --test gone", "--test gone is not there"),
    ("quantize net.onnx --data a.npz --recipe onnx_int8_sttic", "Did you mean 'onnx_int8_static'?"),
    ("quantize net.onnx --data a.npz --seconds many", "'many' is not a valid float"),
    ("quantize net.onnx --data a.npz --seconds -1", "--seconds is -1, allowed are 0 to 3600"),
    ("quantize net.onnx --data a.npz --mean a,b", "--mean is 'a,b', and should be a number, or numbers with commas"),
    ("quantize net.onnx --data a.npz --mean=", "--mean is '', and should be a number"),
    ("quantize net.onnx --data a.npz --std 0", "std"),
    ("quantize net.onnx --data a.npz --layout hwc", "'hwc' is not one of 'nchw', 'nhwc'"),
    ("init \u202eevil", "a mark that changes the direction of text (U+202E) at position 1"),
    ("init a\x1b[31m", "has a control character (U+001B)"),
]


def typed(line: str) -> Kind:
    def meet() -> None:
        for name in ("net.onnx", "net.pt"):
            Path(name).touch()
        np.savez("a.npz", x=np.zeros((9, 3), np.float32))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["octavo", *line.split(" ")])
            cli.main()

    return Kind("command lines", repr(line)[1:-1], meet, dict(LINES)[line])


def _kinds() -> Iterator[Kind]:
    for line, _ in LINES:
        yield typed(line)
    yield Kind("command lines", "'compare'", typed_compare, NO_PROJECT)


def typed_compare() -> None:
    for path in Path("reports").iterdir():
        path.rename(path.name)
    Path("reports").rmdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["octavo", "compare"])
        try:
            cli.main()
        finally:
            Path("reports").mkdir()
            for name in ("scorecards.json", "decision.json"):
                Path(name).rename(Path("reports", name))


KINDS = tuple(_kinds())
