"""Remarks on a network, and the refusal that can stand in its place."""

from pathlib import Path

import numpy as np
import pytest

from octavo.backends import network_notes
from octavo.data.splits import Samples, Split
from octavo.project.errors import ModelError
from octavo.quantization import recipes


def test_a_refusal_replaces_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "qat"
    folder.mkdir()
    (folder / "weights.h5").write_bytes(b"old")
    network_notes.refuse(folder, "It ends in „Größe“.")
    assert network_notes.refusal(folder) == "It ends in „Größe“."
    assert [path.name for path in folder.iterdir()] == ["refused.json"]


def test_nothing_is_said_where_nothing_was_written(tmp_path: Path) -> None:
    assert (network_notes.read(tmp_path), network_notes.refusal(tmp_path)) == ([], None)
    network_notes.write(tmp_path, ["One.", "Two."])
    assert network_notes.read(tmp_path) == ["One.", "Two."]


def test_a_recipe_says_why_there_is_no_network(tmp_path: Path) -> None:
    network_notes.refuse(tmp_path / "qat", "TFMOT refused it.")
    images = np.zeros((1, 2, 2), np.uint8)
    samples = Samples(images, Split(images, np.zeros(1, np.int64)))
    for recipe in ("onnx_int8_qat", "litert_int8_qat"):
        with pytest.raises(ModelError, match=r"TFMOT refused it\."):
            recipes.quantize(recipe, tmp_path / "qat", tmp_path / "model.onnx", samples, {})
