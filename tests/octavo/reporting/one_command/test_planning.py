"""What is made of a network, and what a search may try: the same on every machine."""

from pathlib import Path

import numpy as np
import pytest

from octavo.project import extras
from octavo.project.errors import ParamsError
from octavo.quantization import recipes
from octavo.quantization.searching.search import Search
from octavo.reporting.one_command import planning
from octavo.reporting.one_command.given import network
from octavo.reporting.one_command.planning import Asked, Plan
from tests.octavo.reporting.one_command import patterns


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patterns.network(tmp_path_factory.mktemp("model") / "model.onnx")


def planned(
    path: Path, seconds: float = 20, asked: tuple[str, ...] = (), images: int = 100, form: str | None = None
) -> Plan:
    encoded = np.zeros((images, 3, 16, 16), np.float32)
    return planning.plan(network.read(path, None), path, Asked(asked, form), seconds, (encoded, images))


def test_every_recipe_is_made_or_left_out(path: Path) -> None:
    found = planned(path)
    assert sorted([*found.options, *found.left_out]) == recipes.names()
    assert next(iter(found.options)) == planning.BASELINE


def test_what_needs_a_saved_model_is_not_made_of_an_onnx_file(path: Path) -> None:
    converted = [name for name in recipes.names() if name.endswith("_tensorflow")]
    assert len(converted) == 5
    for name in converted:
        assert "takes a network in Keras, and this is a file in ONNX" in planned(path).left_out[name]
        with pytest.raises(ParamsError, match=f"--recipe {name} is not possible: .* takes a network in Keras"):
            planned(path, asked=(name,))


def test_each_format_has_its_files_that_of_the_network_first(path: Path) -> None:
    made = [name.partition("_")[0] for name in planned(path).options]
    assert set(made) == {"onnx", "litert"}
    assert made == sorted(made, reverse=True)


def test_files_of_one_format_only(path: Path) -> None:
    found = planned(path, form="litert")
    assert {name.partition("_")[0] for name in found.options if name != planning.BASELINE} == {"litert"}
    assert found.left_out["onnx_int8_static"] == "--format is litert"


def test_a_format_that_is_not_installed_is_left_out_with_what_installs_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "missing", lambda names: [name for name in names if name == "litert"])
    found = planned(path)
    assert {name.partition("_")[0] for name in found.options} == {"onnx"}
    assert found.left_out["litert_fp16"] == "LiteRT is not installed. Run: pip install 'octavo[litert]'"
    with pytest.raises(ParamsError, match=r"--recipe litert_fp16 is not possible: LiteRT is not installed. Run: pip"):
        planned(path, asked=("litert_fp16",))


def test_twins_search_alike(path: Path) -> None:
    """So that they have the same integers, and the second one finds the trials of the first."""
    found = planned(path).options
    assert found["onnx_int8_static"]["search"]
    assert found["litert_int8_static"] == found["onnx_int8_static"]


def test_only_what_is_asked_for_is_made_beside_the_baseline(path: Path) -> None:
    found = planned(path, asked=("onnx_fp16",))
    assert list(found.options) == [planning.BASELINE, "onnx_fp16"]
    assert found.left_out["onnx_int8_static"] == "--recipe names others"


def test_fewer_seconds_cut_the_search_and_that_is_said(path: Path) -> None:
    """4,000 images of a small network count as much as 100 of a large one."""
    spaces, remarks = [], []
    for seconds in (3600.0, 0.4, 0.22, 0.0):
        found = planned(path, seconds, images=4000)
        spaces.append(found.options["onnx_int8_static"].get("search"))
        remarks.append(found.remarks)
    assert spaces[0] is not None
    assert spaces[-1] is None
    assert len({str(space) for space in spaces}) == 4
    assert [len(each) for each in remarks] == [0, 1, 1, 0]
    assert "of 20 trials" in remarks[1][0]
    for space in spaces[:-1]:
        assert Search.model_validate(space).seconds == planning.NEVER, "the clock decides nothing"


def test_the_spaces_have_as_many_trials_as_they_say(path: Path) -> None:
    """Rounds of the search: all methods and granularities, then refinements of the best of each granularity."""
    for space in planning.SPACES[:-1]:
        assert space.options is not None
        asked = Search.model_validate(space.options)
        first, groups = len(asked.methods) * len(asked.per_channel), len(asked.per_channel)
        refined = groups * (1 + 2 * asked.equalize)
        assert space.plain + space.corrected == first + refined
        assert space.corrected == groups * (1 + asked.equalize)
