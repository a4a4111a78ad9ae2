"""`params.yaml`: what is asked for is possible, or refused in a sentence before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from octavo.project.errors import ParamsError
from octavo.project.params.params import load_params

TEXT = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
PATH = Path("params.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask(place: str, value: Any) -> None:
    """Write the defaults with one value changed, `place` being its keys with dots between."""
    params = yaml.safe_load(TEXT)
    *sections, key = place.split(".")
    section = params
    for name in sections:
        section = section[name]
    section[key] = value
    PATH.write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("networks.fp32.learning_rate", float("inf"), "finite number, got inf"),
        ("networks.fp32.learning_rate", float("nan"), "finite number, got nan"),
        ("networks.fp32.learning_rate", "nan", "finite number, got 'nan'"),
        ("finetuned.qat.learning_rate", 0, "greater than or equal to 0.000000001, got 0"),
        ("networks.fp32.learning_rate", 1e30, "less than or equal to 1, got 1e\\+30"),
        ("networks.fp32.epochs", True, "a number, got True"),
        ("networks.fp32.epochs", 10**9, "less than or equal to 100000, got 1000000000"),
        ("networks.fp32.epochs", 1.5, "valid integer"),
        ("networks.fp32.batch_size", 10**20, "less than or equal to 1000000"),
        ("networks.fp32.seed", -1, "greater than or equal to 0, got -1"),
        ("networks.fp32.seed", 2**40, "less than 4294967296, got 1099511627776"),
        ("data.seed", 2**32, "less than 4294967296"),
        ("networks.fp32.threads", 10**9, "less than or equal to 1024, got 1000000000"),
        ("benchmark.threads", 10**9, "less than or equal to 1024"),
        ("networks.fp32.build", "mine:", "module:function of your own, got 'mine:'"),
        ("networks.fp32.build", "nets/mine:build", "module:function of your own"),
        ("benchmark.rounds", 10**9, "less than or equal to 10000"),
        ("benchmark.batches", 1, "a list, got 1"),
        ("benchmark.batches", "1", "a list, got '1'"),
        ("benchmark.batches", [True, 64], r"numbers, got \[True, 64\]"),
        ("benchmark.batches", [1, 10**12], "less than or equal to 4096"),
        ("benchmark.batches", [1, 8, 8], "each size is allowed only once"),
        ("data.image_size", [10**9, 28], "less than or equal to 8192"),
        ("data.calibration", True, "a number, got True"),
        ("data.test", float("nan"), "finite number"),
        ("data.encoding", {"std": [0.2, 0]}, "encoding.std.1: Input should be greater than 0, got 0"),
        ("data.encoding", {"mean": [0, 1], "std": [1, 1, 1]}, "mean has 2 values and std 3"),
        ("data.encoding", {"means": 1}, "encoding: Unknown key 'means'"),
        ("data.generator", "mine:data", "source 'digits' calls no generator"),
        ("data.generator", "mine", "module:function of your own, got 'mine'"),
        ("data.source", "generator", "source 'generator' needs a generator: module:function"),
        ("data.source", "cvs", "'csv', 'parquet' or 'generator'"),
        ("policy.max_accuracy_drop", float("nan"), "finite number"),
        ("policy.max_size_ratio", float("inf"), "finite number"),
        ("policy.max_latency_ratio", True, "a number, got True"),
        ("policy.confidence", 1 - 1e-12, "less than or equal to 0.999999"),
        ("policy.recall_drops", {"1": float("nan")}, "finite number"),
        ("policy.prefer", "latency", "a list, got 'latency'"),
        ("policy.prefer", [], "at least 1 item"),
        ("registry.model", "", "1 to 200 characters"),
        ("registry.model", "o'brien", "without / : and '"),
        ("registry.experiment", "", "at least 1 character"),
        ("nightly.keep", {"days": 10**12}, "less than or equal to 36500"),
        ("nightly.fetch", "python fetch.py", "a list, got 'python fetch.py'"),
        ("nightly.heartbeat", "file:///etc/passwd", "pattern"),
        ("nightly.false_promotions", 0, "greater than or equal to 0.001"),
        ("nightly.false_promotions", True, "a number"),
        ("variants.onnx_fp32", 3, "a mapping, got 3"),
    ],
)
def test_a_value_that_is_absurd_is_named_with_what_is_allowed(place: str, value: Any, said: str) -> None:
    ask(place, value)
    with pytest.raises(ParamsError, match=rf"^params.yaml: {place.partition('.')[0]}.*{said}") as raised:
        load_params()
    assert "\n" not in str(raised.value)
    assert place.rpartition(".")[2] in str(raised.value)


@pytest.mark.parametrize("encoding", [{"layout": "channels_first"}, {"dtype": "uint8"}])
def test_an_encoding_that_octavos_own_networks_do_not_take_is_refused(encoding: dict[str, str]) -> None:
    ask("data.encoding", encoding)
    with pytest.raises(ParamsError, match=r"network 'fp32' of networks takes float32 with the channels last\. Remove"):
        load_params()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("networks.fp32.learning_rate", "1e-3"),  # a string to YAML 1.1, a number to people
        ("networks.fp32.build", "networks.mine:build_2"),
        ("networks.fp32.epochs", 3.0),
        ("policy.max_latency_ratio", 100),
        ("benchmark.batches", [1]),
        ("registry.model", "cats & dogs, 2nd"),
        ("registry.experiment", "/Shared/octavo"),
        ("data.calibration", 1),
        ("data.encoding", {"mean": 0.5, "std": [0.2, 0.3, 0.4]}),
    ],
)
def test_a_value_that_people_write_is_taken(place: str, value: Any) -> None:
    ask(place, value)
    load_params()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "params.yaml is empty. It needs the sections data, networks"),
        (b"# nothing\n", "params.yaml is empty"),
        (b"- data\n", "holds a list. It needs"),
        (b"data", "holds a str. It needs"),
        (b"data:\n\tsource: digits\n", "is not YAML: .*'\\\\t'.* line 2"),
        (TEXT.encode() + b"\xff", "is not UTF-8: byte [0-9]+ is 0xff"),
        (TEXT.encode() + b"\x00", "is not YAML: "),
        (b"a: " + b"[" * 5000, "is not YAML: "),
        (b"when: 2026-02-30", "is not YAML: "),
        (TEXT.replace("epochs: 40", "epochs: 40, epochs: 4").encode(), "key 'epochs' occurs twice"),
        (TEXT.encode() + b"policy: {max_accuracy_drop: 0.5}\n", "key 'policy' occurs twice"),
        (TEXT.replace("options: {search: {}}", "options: {search: {}, search: {}}").encode(), "'search' occurs twice"),
    ],
)
def test_a_file_that_does_not_say_what_it_seems_to_is_refused(content: bytes, said: str) -> None:
    PATH.write_bytes(content)
    with pytest.raises(ParamsError, match=said) as raised:
        load_params()
    assert "\n" not in str(raised.value)


def test_a_folder_and_no_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"No params.yaml in .* Run octavo in the project's root"):
        load_params()
    PATH.mkdir()
    with pytest.raises(ParamsError, match=r"Cannot read params\.yaml: Is a directory"):
        load_params()


def test_an_anchor_and_a_merge_are_no_repetition() -> None:
    text = TEXT.replace("control: {", "control: &budget {").replace("  qat: {", "  qat: {<<: *budget, ")
    PATH.write_text(text)
    assert load_params().finetuned["qat"].by == "qat"


def ask_networks(networks: dict[str, Any], finetuned: dict[str, Any], sources: list[str]) -> None:
    found = yaml.safe_load(TEXT)
    built, tuned = found["networks"]["fp32"], found["finetuned"]["qat"]
    found["networks"] = {name: built | each for name, each in networks.items()}
    found["finetuned"] = {name: tuned | each for name, each in finetuned.items()}
    found["variants"] = {f"onnx_fp32_{name}": {"source": name, "recipe": "onnx_fp32"} for name in sources}
    found["baseline"] = next(iter(found["variants"]))
    PATH.write_text(yaml.safe_dump(found))


TUNED: dict[str, dict[str, Any]] = {
    "control": {"by": "continue"},
    "qat": {},
    "longer": {"by": "continue", "epochs": 99},
    "again": {"from": "control", "by": "continue"},
    "late": {"from": "control"},
}


@pytest.mark.parametrize(
    ("sources", "needed"),
    [
        (["one"], {"one"}),
        (["two", "one"], {"one", "two"}),
        (["control"], {"one", "control"}),
        (["qat"], {"one", "control", "qat"}),
        (["longer"], {"one", "longer"}),
        (["late"], {"one", "control", "again", "late"}),
    ],
)
def test_only_what_variants_need_is_needed(sources: list[str], needed: set[str]) -> None:
    tuned = {name: {"from": "one"} | each for name, each in TUNED.items()}
    ask_networks({"one": {}, "two": {"seed": 7}}, tuned, sources)
    params = load_params()
    assert params.needed() == needed
    assert [getattr(params.root(name), "seed", None) for name in ("late", "two")] == [0, 7]
    assert [each.by for each in params.finetunings("late")] == ["continue", "qat"]
    assert (params.control("qat"), params.control("late"), params.control("one")) == ("control", "again", None)


@pytest.mark.parametrize(
    ("networks", "finetuned", "said"),
    [
        ({"a": {}}, {"b": {"from": "c"}}, "finetuned.b.from is 'c'. Known: a, b"),
        ({"a": {}}, {"b": {"from": "b", "by": "continue"}}, "finetuned.b.from leads in a circle"),
        ({"a": {}}, {f: {"from": t, "by": "continue"} for f, t in ("bc", "cb")}, "leads in a circle"),
        ({"a": {}}, {"b": {"from": "a"}, "c": {"from": "b"}}, "finetuned.c.from is 'b', which already has"),
        ({"a": {}}, {"a": {"from": "a"}}, "network 'a' is in both networks and finetuned"),
        ({"A b": {}}, {}, "the name of network 'A b' must be lowercase letters"),
        ({"a": {}}, {"b": {"from": "a", "by": "magic"}}, "'continue' or 'qat', got 'magic'"),
    ],
)
def test_networks_that_lead_nowhere_are_refused(networks: Any, finetuned: Any, said: str) -> None:
    ask_networks(networks, finetuned, [next(iter(networks))])
    with pytest.raises(ParamsError, match=re.escape(said)) as raised:
        load_params()
    assert "\n" not in str(raised.value)


def test_a_source_that_is_no_network_is_refused_with_the_known() -> None:
    ask("variants.onnx_fp16.source", "int8")
    with pytest.raises(ParamsError, match=r"variants\.onnx_fp16\.source is 'int8'\. Known: fp32, control, qat"):
        load_params()


@pytest.mark.parametrize("section", ["train", "qat"])
def test_a_section_of_an_earlier_release_is_answered_with_what_to_write(section: str) -> None:
    PATH.write_text(f"{TEXT}\n{section}: {{epochs: 3}}\n")
    with pytest.raises(ParamsError, match=f"has the section '{section}' of an earlier release. Write instead: "):
        load_params()
