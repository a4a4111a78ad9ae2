"""Examples from a user's own function: what it gives is read, and what goes wrong in it is a sentence."""

from pathlib import Path

import numpy as np
import pytest

from octavo.data import prepare, sources
from octavo.data.sources import generator
from octavo.data.sources.raw import Raw
from octavo.project.code import stages
from octavo.project.errors import DataError, OctavoError, ParamsError
from octavo.project.params.data import Data
from octavo.project.params.params import load_params
from tests.architecture.source_tree import ROOT

CODE = """
import numpy as np

def good(path):
    random = np.random.default_rng(0)
    for place in range(60):
        yield random.normal(size=(50, 2)).astype(np.float32), ("noise", "tone")[place % 2]

def divided(path):
    for place in range(30):
        yield np.full(8, place, np.uint8), np.int64(place % 3), "test" if place % 5 == 0 else "train"

def raising(path):
    yield np.zeros(3, np.float32), 0
    raise KeyError("sensor")

def ending(path):
    raise SystemExit(3)
    yield

def shapes(path):
    yield np.zeros((4, 4), np.uint8), 0
    yield np.zeros((4, 5), np.uint8), 1

def types(path):
    yield np.zeros((4, 4), np.uint8), 0
    yield np.zeros((4, 4), np.float32), 1

def words(path):
    yield "picture", 0

def ragged(path):
    yield [[1.0], [1.0, 2.0]], 0

def naked(path):
    yield np.zeros((4, 4), np.uint8)

def floats(path):
    yield np.zeros((4, 4), np.uint8), 0.5

def elsewhere(path):
    yield np.zeros((4, 4), np.uint8), 0, "validation"

def tested(path):
    yield np.zeros((4, 4), np.uint8), 0, "test"

def nothing(path):
    return iter(())

def none(path):
    pass

def endless(path):
    while True:
        yield np.zeros(1, np.uint8), 0

def without():
    yield

number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_by_user.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def load(function: str) -> Raw:
    return sources.load(Data(source="generator", generator=f"made_by_user:{function}"))


def test_signals_with_named_classes_are_prepared(tmp_path: Path) -> None:
    data = Data(source="generator", generator="made_by_user:good", calibration=10)
    manifest = prepare.prepare(data, tmp_path / "made")
    assert (manifest.image_shape, manifest.dtype, manifest.classes) == ((50, 2), "float32", ["noise", "tone"])
    assert prepare.prepare(data, tmp_path / "again") == manifest


def test_a_test_split_is_the_generators_own() -> None:
    raw = load("divided")
    assert raw.test is not None
    assert (raw.train[0].shape, raw.test[0].shape, raw.classes) == ((24, 8), (6, 8), ("0", "1", "2"))
    np.testing.assert_array_equal(raw.test[0][:, 0], np.arange(0, 30, 5))
    np.testing.assert_array_equal(raw.test[1], np.arange(0, 30, 5) % 3)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("raising", r"example 1: .*made_by_user\.py, line 15: KeyError: 'sensor'"),
        ("ending", r"made_by_user\.py, line 18: sys\.exit: 3"),
        ("shapes", r"example 1 is uint8 \(4, 5\), the first one is uint8 \(4, 4\)"),
        ("types", r"example 1 is float32 \(4, 4\), the first one is uint8"),
        ("words", r"example 0 is <U7 \(\)\. Give uint8"),
        ("ragged", "example 0: .*inhomogeneous"),
        ("naked", r"example 0 is a ndarray\. Give \(example, label\)"),
        ("floats", r"example 0 has the label 0\.5\. Give a class name or an integer"),
        ("elsewhere", r"example 0 is for 'validation'\. Give 'train' or 'test'"),
        ("tested", "gave no example for train"),
        ("nothing", "gave no example for train"),
        ("none", "returns a NoneType. It must be a generator"),
        ("endless", "gave 100 examples and did not end"),
        ("without", r"takes other arguments .* allowed is a function of the path in data\.path"),
        ("number", "must be a function, but it is a int"),
        ("absent", "must be a function, but there is no such name"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence(function: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "MOST", 100)
    with pytest.raises(OctavoError, match=sentence) as refused:
        load(function)
    assert isinstance(refused.value, DataError | ParamsError)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ParamsError, match="there is no module 'nowhere' here"):
        sources.load(Data(source="generator", generator="nowhere:data"))


def test_the_generators_module_is_code_of_prepare() -> None:
    params = load_params(ROOT / "params.yaml")
    data = Data(source="generator", generator="made_by_user:good")
    own = params.model_copy(update={"data": data})
    before = stages.digests(own)
    assert before["prepare"] != stages.digests(params)["prepare"]
    with pytest.raises(ParamsError, match=r"data\.generator is 'nowhere:data'. No module 'nowhere'"):
        stages.digests(params.model_copy(update={"data": Data(source="generator", generator="nowhere:data")}))
