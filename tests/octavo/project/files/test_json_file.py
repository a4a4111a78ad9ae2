"""JSON from outside: whatever stands in a file, its reader answers with one sentence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octavo.backends import acceptance_record, network_notes
from octavo.data.splits import load_manifest
from octavo.evaluation import assembly
from octavo.evaluation.scorecard import load_scorecards
from octavo.onnx_graph import canonicalize
from octavo.project import paths
from octavo.project.errors import OctavoError
from octavo.project.files import json_file
from octavo.promotion import audit_record
from octavo.promotion.decision import load_decision
from octavo_mlflow.nightly import record

DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
HOSTILE = {
    "nested 5,000 deep": (DEEP, "nested more than 100 deep"),
    "nested 100,000 deep": (b"[" * 100_000, "nested more than 100 deep"),
    "nested 200 deep": (b"[" * 200 + b"]" * 200, "nested more than 100 deep"),
    "5,000 digits": (b'{"sequence": ' + b"9" * 5000 + b"}", "5,000 digits"),
    "a number beyond floats": (b'{"sequence": 1e999}', "too large a number"),
    "not UTF-8": (b'{"digest": "\xff"}', "not UTF-8: byte 12 is 0xff"),
    "half of a surrogate pair": (b'{"digest": "\\ud800"}', "half of a surrogate pair"),
    "a key twice": (b'{"digest": "a", "digest": "b"}', "'digest' occurs twice"),
    "a key twice inside": (b'{"a": [{"b": 1, "b": 1}]}', "'b' occurs twice"),
    "NaN": (b'{"sequence": NaN}', "NaN is not a number"),
    "infinity": (b'{"sequence": -Infinity}', "-Infinity is not a number"),
    "cut short": (b'{"digest": "a', "not JSON"),
    "empty": (b"", "not JSON"),
    "another thing": (b"[1, 2]", ""),
    "nothing of it": (b'{"x": 1}', ""),
}


def _moves(path: Path) -> Any:
    return audit_record.parse(path.read_bytes().decode("utf-8", "surrogateescape"), "The record")


def _night(path: Path) -> Any:
    path.rename(record.RUNNING)
    return record.running()


def _layers(path: Path) -> Any:
    path.rename(path.with_name(canonicalize.LAYERS))
    return canonicalize.layers(path)


def _remarks(path: Path) -> Any:
    path.rename(path.with_name(network_notes.REMARKS))
    return network_notes.read(path.parent)


def _refused(path: Path) -> Any:
    path.rename(path.with_name(network_notes.REFUSED))
    return network_notes.refusal(path.parent)


def _admission(path: Path) -> Any:
    paths.refusal("onnx_int8").parent.mkdir(parents=True)
    path.rename(paths.refusal("onnx_int8"))
    return acceptance_record.refusal("onnx_int8")


READERS: dict[str, Callable[[Path], Any]] = {
    "manifest": load_manifest,
    "scorecards": load_scorecards,
    "decision": load_decision,
    "benchmark": lambda path: json_file.read_output(path, assembly.BenchmarkRecord, "a record"),
    "night": _night,
    "layers": _layers,
    "remarks": _remarks,
    "refused network": _refused,
    "refused variant": _admission,
}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.NIGHTS.mkdir(parents=True)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize(("content", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_every_reader_says_what_is_wrong(reader: Callable[[Path], Any], content: bytes, why: str) -> None:
    path = Path("outside.json")
    path.write_bytes(content)

    with pytest.raises(OctavoError) as raised:
        assert reader(path) is None, "it was read"
    said = str(raised.value)
    assert why in said, said
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize(("content", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_record_of_the_log_says_so_too(content: bytes, why: str) -> None:
    Path("outside.json").write_bytes(content)
    with pytest.raises(OctavoError, match="is not a record of the audit log"):
        _moves(Path("outside.json"))


def test_a_pipe_in_the_files_place_is_no_reason_to_wait() -> None:
    os.mkfifo("manifest.json")
    with pytest.raises(OctavoError, match="not a regular file"):
        load_manifest(Path("manifest.json"))


def test_a_figure_in_quotes_is_held_to_be_finite() -> None:
    whole = {"reasons": [], "rule": "size", "value": 0.1, "limit": "nan", "code": "size_ok"}
    with pytest.raises(json_file.Unreadable, match="NaN or infinite"):
        json_file.parse_record(json.dumps({"value": "nan"}), dict[str, float])
    assert json_file.parse(json.dumps(whole)) == whole


def test_what_json_can_say_is_read() -> None:
    said: dict[str, Any] = {"ä": [1, -2.5e-3, True, None, {"": ["\U0001f600", 10**299]}], "deep": 1}
    for _ in range(97):
        said["deep"] = [said["deep"]]
    assert json_file.parse(json.dumps(said)) == json_file.parse(json.dumps(said).encode()) == said
