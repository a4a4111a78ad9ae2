"""Remarks on a network, and the refusal that can stand in its place."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import recipes, remarks
from pipeline.errors import ModelError
from pipeline.splits import Samples, Split


def test_a_refusal_replaces_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "qat"
    folder.mkdir()
    (folder / "weights.h5").write_bytes(b"old")
    remarks.refuse(folder, "It ends in „Größe“.")
    assert remarks.refusal(folder) == "It ends in „Größe“."
    assert [path.name for path in folder.iterdir()] == ["refused.json"]


def test_nothing_is_said_where_nothing_was_written(tmp_path: Path) -> None:
    assert (remarks.read(tmp_path), remarks.refusal(tmp_path)) == ([], None)
    remarks.write(tmp_path, ["One.", "Two."])
    assert remarks.read(tmp_path) == ["One.", "Two."]


def test_a_recipe_says_why_there_is_no_network(tmp_path: Path) -> None:
    remarks.refuse(tmp_path / "qat", "TFMOT refused it.")
    images = np.zeros((1, 2, 2), np.uint8)
    samples = Samples(images, Split(images, np.zeros(1, np.int64)))
    for recipe in ("qat_int8", "litert_qat_int8"):
        with pytest.raises(ModelError, match=r"TFMOT refused it\."):
            recipes.quantize(recipe, tmp_path / "qat", tmp_path / "model.onnx", samples, {})
