"""Classes whose names YAML takes for something else: `params.yaml` means what was written."""

import os
from pathlib import Path

import pytest
import yaml

from octavo.evaluation import assembly
from octavo.project.errors import ParamsError
from octavo.project.files import yaml_file
from octavo.project.git import revision
from octavo.project.params.params import PARAMS, load_params
from octavo.project.params.policy import Policy
from octavo.promotion import gate
from octavo.tasks.quality import Paired

ROOT = Path(__file__).parents[4]
ODD = (
    "no",
    "yes",
    "on",
    "y",
    "010",
    "007",
    "0x1F",
    "1_0",
    "1e3",
    "1.50",
    ".inf",
    "12:30",
    "2024-01-01",
    "~",
    "null",
    "",
)
"""Names that YAML 1.1 reads as a truth value, a number, a time, a date or nothing, for the most part."""


def write(path: Path, keys: str) -> None:
    whole = (ROOT / PARAMS).read_text(encoding="utf-8")
    policy = "policy: # against the baseline\n"
    assert policy in whole
    path.write_text(whole.replace(policy, f"{policy}  recall_drops: {{{keys}}}\n"), encoding="utf-8")


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / PARAMS, ", ".join(f"{name or repr(name)}: 0.{number + 10}" for number, name in enumerate(ODD)))
    return tmp_path


def test_a_class_is_called_as_it_is_written(odd: Path) -> None:
    assert load_params().policy.recall_drops == {name: float(f"0.{number + 10}") for number, name in enumerate(ODD)}


def test_values_are_what_they_were(odd: Path) -> None:
    whole = yaml_file.read(odd / PARAMS)
    assert (whole["networks"]["fp32"]["epochs"], whole["policy"]["confidence"]) == (40, 0.95)
    (odd / "values.yaml").write_text("{a: no, b: 010, c: ~, d: [yes, 1e3], e: {on: off}}")
    read = yaml_file.read(odd / "values.yaml")
    assert read == {"a": False, "b": 8, "c": None, "d": [True, "1e3"], "e": {"on": False}}


def test_mappings_that_are_included_are(tmp_path: Path) -> None:
    (tmp_path / "merged.yaml").write_text("a: &a {no: 1, x: 2}\nb: {<<: *a, x: 3}\nc: {d: {<<: [*a], 010: 4}}\n")
    assert yaml_file.read(tmp_path / "merged.yaml") == {
        "a": {"no": 1, "x": 2},
        "b": {"no": 1, "x": 3},
        "c": {"d": {"no": 1, "x": 2, "010": 4}},
    }


def test_a_value_stays_one_where_an_alias_makes_it_a_key_too(tmp_path: Path) -> None:
    (tmp_path / "aliased.yaml").write_text("a: &no no\n*no : 1\n&yes yes: 2\nb: *yes\n")
    assert yaml_file.read(tmp_path / "aliased.yaml") == {"a": False, "no": 1, "yes": 2, "b": True}


def test_a_class_that_is_limited_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / PARAMS, "5: 0.1, '5': 0.2")
    with pytest.raises(ParamsError, match=r"'5'.* twice"):
        load_params(tmp_path / PARAMS)


def test_the_gate_holds_such_classes_to_their_limits_and_the_decision_says_so(odd: Path) -> None:
    paired = Paired(
        delta=-0.3,
        ci=(-0.4, -0.2),
        broke=300,
        fixed=0,
        agreement=0.7,
        per_class={"no": (300, 0, 500), "010": (0, 0, 500)},
    )
    for keys, limit in (("no: 0.9, 010: 0", 0.9), ("010: 0.9, no: 0.2", 0.2)):
        write(odd / PARAMS, keys)
        policy = load_params().policy
        found = gate.recall(paired, policy)
        assert (found.of, found.limit) == ("no", limit) if limit < 0.5 else found.met
        assert Policy.model_validate_json(policy.model_dump_json()) == policy

    write(odd / PARAMS, "nein: 0.9")
    with pytest.raises(ParamsError, match=r"limits the class nein\. Known: no, 010"):
        gate.recall(paired, load_params().policy)


def test_the_digest_of_the_parameters_takes_such_names(odd: Path) -> None:
    before = assembly.digest(yaml_file.read(PARAMS))
    write(odd / PARAMS, "cat: 0.1, no: 0.2")
    assert assembly.digest(yaml_file.read(PARAMS)) != before


def tenfold(form: bytes) -> bytes:
    """Eight lines, each of ten times the line before."""
    return b"".join(b"%c: &%c %s\n" % (n, n, form % b", ".join([b"*%c" % (n - 1)] * 10)) for n in b"bcdefghi")


HOSTILE = {
    "nested 5,000 deep": (b"a: " + b"[" * 5000 + b"]" * 5000, "nested more than 100 deep"),
    "nested in blocks": (b"- " * 5000 + b"a", "nested more than 100 deep"),
    "5,000 digits": (b"a: " + b"9" * 5000, "more than 300 digits"),
    "not UTF-8": (b"a: \xff", "not UTF-8"),
    "a value that is itself": (b"a: &a [*a]", "inside the value that it refers to"),
    "nine lines for a billion": (b"a: &a [1, 1]\n" + tenfold(b"[%s]"), "more than 1,000,000 values"),
    "merged for ever": (b"a: &a {x: 1}\n" + tenfold(b"{<<: [%s]}"), "more than 1,000,000 values"),
    "an int that is none": (b'a: !!int ""', "is not YAML"),
    "a time that is none": (b"a: !!timestamp soon", "is not YAML"),
    "a truth that is none": (b"a: !!bool maybe", "is not YAML"),
    "Python": (b"a: !!python/object/apply:os.getcwd []", "is not YAML"),
}


@pytest.mark.parametrize(("content", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_one_sentence(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / PARAMS).write_bytes(content)
    with pytest.raises(ParamsError, match=why):
        load_params(tmp_path / PARAMS)


@pytest.mark.parametrize(
    "content", [content for name, (content, _) in HOSTILE.items() if name != "5,000 digits"] + [b"[" * 1_000_000]
)
def test_a_hostile_lock_is_no_lock_and_ends_no_process(content: bytes) -> None:
    """Libyaml's loader takes the whole stack, and the process with it."""
    with pytest.raises((yaml.YAMLError, TypeError, ValueError)):
        revision.stages(content)


def test_a_pipe_in_the_files_place_is_no_reason_to_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PARAMS)
    with pytest.raises(ParamsError, match="not a regular file"):
        load_params(tmp_path / PARAMS)
