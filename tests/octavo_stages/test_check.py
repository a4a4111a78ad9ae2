"""The `check` stage: a variant that its recipe cannot make is told before anything is trained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from octavo.project import paths
from octavo.project.code import stages
from octavo.project.params.params import load_params
from octavo.quantization import recipes
from octavo_stages.check import main

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()


def ask(name: str, **fields: Any) -> None:
    """One variant more than the baseline."""
    params = yaml.safe_load(PARAMS.read_text())
    params["variants"] = {"onnx_fp32": params["variants"]["onnx_fp32"], name: {"source": "fp32"} | fields}
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("onnx_int8_a", {"recipe": "nosuch"}, "Unknown recipe 'nosuch'. Known: litert_fp16, "),
        ("onnx_int8_a", {"recipe": "litert_int8_static"}, "makes litert files, and the variant's name says onnx"),
        ("litert_int8_a", {"recipe": "onnx_int8_static"}, "makes onnx files, and the variant's name says litert"),
        (
            "onnx_int8_a",
            {"recipe": "onnx_int8_qat"},
            "Recipe 'onnx_int8_qat' needs a quantization-aware network as source, got 'fp32'",
        ),
        (
            "onnx_int8_a",
            {"recipe": "onnx_int8_static", "options": {"bits": 4}},
            "options: Unknown key 'bits'. Known: method, ",
        ),
        (
            "onnx_int8_a",
            {"recipe": "onnx_int8_static", "options": {"method": "entropy"}},
            "method: Unknown calibration method 'entropy'. Known: min_max, ",
        ),
        (
            "onnx_int8_a",
            {"recipe": "onnx_int8_static", "options": {"search": {"methods": ["min_max", "mean"]}}},
            "search.methods: Unknown calibration method 'mean'",
        ),
        ("onnx_int8_a", {"recipe": "onnx_int8_static", "options": {"float_layers": [True]}}, "float_layers: .*numbers"),
        (
            "onnx_int8_a",
            {"recipe": "onnx_int8_static", "options": {"search": {"seconds": float("nan")}}},
            "finite number",
        ),
        ("onnx_int8_a", {"recipe": "onnx_int8_static", "options": {"search": {"workers": 10**9}}}, "equal to 256"),
        pytest.param(
            "litert_int8_a",
            {"recipe": "litert_int8_qat_tensorflow"},
            "Recipe 'litert_int8_qat_tensorflow' needs a quantization-aware network as source, got 'fp32'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "litert_fp16",
            {"recipe": "litert_fp16", "options": {"bits": 4}},
            "Unknown key 'bits'. Known: ",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_a_recipe_cannot_make_ends_with_one_sentence_that_names_the_variant(
    name: str, fields: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(name, **fields)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"octavo: params.yaml: variant '{name}': ")
    assert re.search(said, line)
    assert not paths.OPTIONS_CHECKED.exists()


def test_what_takes_a_saved_model_is_not_made_of_a_network_in_onnx(capsys: pytest.CaptureFixture[str]) -> None:
    for recipe in ("litert_int8_static", "litert_int8_static_tensorflow"):
        ask("litert_int8_a", recipe=recipe, source="theirs")
        brought = {"theirs": {"file": "net.onnx"}}
        Path("params.yaml").write_text(
            yaml.safe_dump(yaml.safe_load(Path("params.yaml").read_text()) | {"brought": brought})
        )
        Path("net.onnx").touch()
        if recipe == "litert_int8_static":
            main()
            capsys.readouterr()
    paths.OPTIONS_CHECKED.unlink()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a SavedModel, and 'theirs' is net.onnx. Use litert_int8_static." in line
    assert not paths.OPTIONS_CHECKED.exists()


@pytest.mark.parametrize(
    ("sections", "made", "said"),
    [
        (
            {"brought": {"x": {"file": "nets/gone.onnx"}}, "data": {"source": "digits"}},
            "nets/gones.onnx",
            r"brought\.x\.file is nets/gone\.onnx, and .* Did you mean 'nets/gones\.onnx'\? Give the path of a network",
        ),
        (
            {"brought": {"x": {"file": "gone.keras"}}},
            "data/a",
            r"brought\.x\.file is gone\.keras, and there is no such",
        ),
        (
            {"data": {"source": "npz", "path": "mine.npz"}},
            "mime.npz",
            r"data\.path is mine\.npz, .* Did you mean 'mime\.npz'\? Give the path of your data",
        ),
        ({"data": {"source": "digits", "path": "data"}}, "dta/a", r"data\.path is data, .* folder: mkdir data\."),
    ],
)
def test_what_is_missing_is_told_before_anything_is_trained(
    sections: dict[str, Any], made: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("onnx_int8_a", recipe="onnx_int8_static")
    Path("params.yaml").write_text(yaml.safe_dump(yaml.safe_load(Path("params.yaml").read_text()) | sections))
    Path("data").rmdir()
    Path(made).parent.mkdir(exist_ok=True)
    Path(made).touch()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert not paths.OPTIONS_CHECKED.exists()


def test_the_stage_runs_again_when_a_file_goes_and_not_when_it_is_back() -> None:
    ask("onnx_int8_a", recipe="onnx_int8_static")
    params = load_params()
    there = stages.digests(params)["check"]
    Path("data").rmdir()
    assert stages.digests(params)["check"] == f"{there} without data.path"
    Path("data").mkdir()
    assert stages.digests(params)["check"] == there


@pytest.mark.slow
def test_every_recipe_is_taken_for_a_variant_of_its_name() -> None:
    for name in recipes.names():
        ask(name, source="qat" if "qat" in name else "fp32", recipe=name)
        main()
        assert stages.digests(load_params())["quantize"][name]


def test_what_can_be_made_leaves_the_same_bytes_whatever_the_variants() -> None:
    ask("onnx_int8_a", recipe="onnx_int8_static", options={"method": "min_max"})
    main()
    first = paths.OPTIONS_CHECKED.read_bytes()
    ask("onnx_int8_qat", source="qat", recipe="onnx_int8_qat")
    main()
    assert paths.OPTIONS_CHECKED.read_bytes() == first
