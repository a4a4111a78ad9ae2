"""A model is all of its files: none may change, be missing or lie elsewhere unnoticed."""

import hashlib
import subprocess
from pathlib import Path

import onnx
import pytest

from octavo.backends import model_files
from octavo.evaluation import integer_coverage
from octavo.onnx_graph import canonicalize, external_tensors, file_io
from octavo.project.errors import ModelError
from tests.octavo.onnx_graphs import stack


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network where protobuf's limit is 3 kB: its large weights lie in a second file."""
    monkeypatch.setattr(external_tensors, "LARGE", 500)
    monkeypatch.setattr(file_io, "LIMIT", 3000)
    canonicalize.save(stack(2), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_one_file_is_known_by_its_own_digest(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(stack(1).SerializeToString())
    assert model_files.parts(path) == [path]
    assert model_files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model_files.size(path) == path.stat().st_size


def test_several_files_are_known_by_what_sha256sum_prints_of_them(two_files: Path) -> None:
    data = two_files.with_name("model.onnx.data")
    assert model_files.parts(two_files) == [two_files, data]
    assert model_files.size(two_files) == two_files.stat().st_size + data.stat().st_size
    listed = subprocess.run(
        ["sha256sum", two_files.name, data.name], cwd=two_files.parent, check=True, capture_output=True
    )
    assert model_files.of(two_files).sha256 == hashlib.sha256(listed.stdout).hexdigest()


def test_a_change_in_either_file_is_another_model(two_files: Path) -> None:
    before, data = model_files.sha256(two_files), two_files.with_name("model.onnx.data")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    changed = model_files.sha256(two_files)
    assert changed != before
    proto = onnx.load(two_files, load_external_data=False)
    proto.doc_string = "another"
    two_files.write_bytes(proto.SerializeToString())
    assert model_files.sha256(two_files) not in (before, changed)


def test_a_missing_part_is_named(two_files: Path) -> None:
    two_files.with_name("model.onnx.data").unlink()
    for question in model_files.parts, model_files.size, model_files.sha256:
        with pytest.raises(ModelError, match=r"has weights in .*model\.onnx\.data, which is missing"):
            question(two_files)


def test_the_size_that_is_judged_is_that_of_all_files(two_files: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.onnx"
    onnx.save(stack(2), one)
    size = integer_coverage.measure_size(two_files, one)
    assert size.file_bytes == model_files.size(two_files)
    assert size.ratio == model_files.size(two_files) / one.stat().st_size
    assert size.weight_bytes < size.file_bytes
