"""The command line of `octavo quantize`: wrong arguments are told in one sentence, before anything slow is imported."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from octavo.project import extras
from octavo.project.errors import OctavoError, boundary
from octavo.reporting.one_command.command import quantize


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    return path


def refusal(*arguments: object) -> str:
    """The sentence with which the command ends."""
    done = CliRunner().invoke(quantize, [str(each) for each in arguments])
    assert isinstance(done.exception, OctavoError), done.output
    assert done.exception.exit_code == 1
    return str(done.exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recipe", "onnx_int8_statc"), "Did you mean 'onnx_int8_static'? Known: litert_fp16"),
        (("--recipe", ""), "Known: "),
        (("--format", "tflite"), "Did you mean 'litert'? Known: litert, onnx"),
        (
            ("--format", "onnx", "--recipe", "litert_fp16"),
            "--recipe litert_fp16 makes litert files, and --format is onnx",
        ),
        (("--seconds", "-1"), "allowed are 0 to 3600"),
        (("--seconds", "nan"), "allowed are 0 to 3600"),
        (("--scale", "0"), "--scale is 0"),
        (("--scale", "nan"), "--scale is nan"),
        (("--mean", "red"), "--mean is 'red'"),
        (("--mean", "1,,2"), "--mean is '1,,2'"),
        (("--mean", "inf"), "--mean must be finite"),
        (("--std", "0.1,0"), "--std is 0.1,0"),
        (("--mean", "1,2,3", "--std", "1,2"), "--mean has 3 numbers and --std 2"),
        (("--test", "nowhere"), "--test nowhere is not there"),
        (("--calibration", "nowhere"), "--calibration nowhere is not there"),
    ],
)
def test_wrong_options(model: Path, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    assert said in refusal(model, "--data", tmp_path, *options)


def test_missing_files(model: Path, tmp_path: Path) -> None:
    assert "MODEL is an ONNX file" in refusal(tmp_path, "--data", tmp_path)
    assert "is not there" in refusal(tmp_path / "no.onnx", "--data", tmp_path)
    assert "--data no is not there" in refusal(model, "--data", "no")


@pytest.mark.parametrize(
    ("name", "by"),
    [("a.pth", "torch.onnx.export"), ("b.keras", "tf2onnx"), ("c.PKL", "skl2onnx"), ("d.tflite", "--tflite")],
)
def test_files_of_other_programs_are_told_the_way(tmp_path: Path, name: str, by: str) -> None:
    (tmp_path / name).touch()
    said = refusal(tmp_path / name, "--data", tmp_path)
    assert by in said
    assert ("octavo init --model" in said) == name.endswith(".keras")


def test_data_are_asked_for(model: Path) -> None:
    done = CliRunner().invoke(quantize, [str(model)])
    assert "Missing option '--data'" in done.output


def test_wrong_arguments_do_not_wait_for_libraries(model: Path) -> None:
    program = (
        "import sys; from octavo.reporting.one_command.command import quantize\n"
        f"try: quantize.main([{str(model)!r}, '--data', '.', '--recipe', 'no'], standalone_mode=False)\n"
        "except Exception as error: print(error)\n"
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("Unknown recipe 'no'")
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("asked", [("--format", "litert"), ("--recipe", "litert_fp16")])
def test_litert_files_without_litert_are_refused_before_anything_is_made(
    model: Path, tmp_path: Path, asked: tuple[str, str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "ai_edge_litert" else find_spec(name))
    with pytest.raises(SystemExit) as ended, boundary():
        quantize.main([str(model), "--data", str(tmp_path), *asked], standalone_mode=False)
    assert ended.value.code == 1
    assert "pip install 'octavo[litert]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_register_without_mlflow_is_refused_before_anything_is_made(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "mlflow" else find_spec(name))
    with pytest.raises(SystemExit) as ended, boundary():
        quantize.main([str(model), "--data", str(tmp_path), "--register"], standalone_mode=False)
    assert ended.value.code == 1
    assert "pip install 'octavo[mlflow]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_every_option_is_explained() -> None:
    for option in quantize.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), option.name
