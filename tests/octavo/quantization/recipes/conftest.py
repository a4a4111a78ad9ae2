"""What recipes are tried on here: small networks written by hand, and what a file of theirs answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from octavo.backends.records import Proof
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize
from octavo.quantization import recipes


@dataclass(frozen=True)
class Made:
    """A model file, beside the network that it was made of."""

    path: Path
    wanted: np.ndarray
    got: np.ndarray

    @property
    def error(self) -> float:
        """Root mean square of what the outputs are off by, relative to theirs."""
        return float(np.sqrt(np.mean((self.got - self.wanted) ** 2) / np.mean(self.wanted**2)))

    @property
    def proof(self) -> Proof:
        return integer_coverage.prove(self.path)


Make = Callable[..., Made]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Run a recipe on a network and images: `make("onnx_int8_static", model, images, per_channel=False)`."""
    monkeypatch.chdir(tmp_path)

    def make(recipe: str, model: onnx.ModelProto, images: np.ndarray, **options: Any) -> Made:
        canonicalize.save(model, tmp_path / "exported/model.onnx")
        wanted = open_model(tmp_path / "exported/model.onnx")(images)
        samples = Samples(images, Split(images, wanted.reshape(len(wanted), -1).argmax(1)))
        path = tmp_path / f"{recipe}.onnx"
        recipes.quantize(recipe, tmp_path / "exported", path, samples, options)
        return Made(path, wanted, open_model(path)(images))

    return make
