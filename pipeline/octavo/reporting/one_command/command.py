"""The command `octavo quantize`, as people type it. Arguments are checked here, before slow libraries are imported."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from octavo.project import extras
from octavo.project.cli import act
from octavo.project.errors import DataError, ModelError, ParamsError, known_are

RECIPES = "octavo.quantization.recipes"
ELSEWHERE = {
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt", ".safetensors"), "torch.onnx.export"),
    **dict.fromkeys((".keras", ".h5", ".hdf5", ".pb"), "tf2onnx, or with model.export of Keras 3 and format onnx"),
    **dict.fromkeys((".pkl", ".joblib"), "skl2onnx"),
    **dict.fromkeys((".tflite",), "tf2onnx and its option --tflite, if it is a float network"),
}
"""Suffix of a file that other programs write -> what makes ONNX of it."""
KERAS = (".keras", ".h5")
"""Suffixes that `octavo init` takes."""
LONGEST = 3600.0
"""Seconds. A search has no more trials than an hour holds."""


def _numbers(_: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...]:
    """The numbers of an option: one, or several with commas between them."""
    try:
        return () if text is None else tuple(float(each) for each in text.split(","))
    except ValueError:
        raise ParamsError(
            f"--{option.name} is '{text}', and should be a number, or numbers with commas between them, such as "
            "0.485,0.456,0.406."
        ) from None


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Images, .npz, .npy, .csv, .parquet.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), help="Data for calibration alone, not taken from --data."
)
@click.option("--test", type=click.Path(path_type=Path), help="Data for the test, not taken from --data.")
@click.option("--recipe", "recipes", multiple=True, metavar="NAME", help="Make only this one; may be repeated.")
@click.option(
    "--format", metavar="NAME", help="Make files of this format only: onnx or litert. The others are left out."
)
@click.option("--seconds", default=20.0, show_default=True, help="How much each search may try; 0 for none.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results; by default <MODEL>-octavo.")
@click.option("--scale", type=float, help="Pixels are divided by it; by default 255. Give 1 if the model takes 0..255.")
@click.option("--mean", callback=_numbers, help="Subtracted after --scale: one number, or one for each channel.")
@click.option("--std", callback=_numbers, help="Divisor after --mean: one number, or one for each channel.")
@click.option(
    "--layout", type=click.Choice(["nchw", "nhwc"]), help="Of the model's input, where its shape is not clear."
)
@click.option("--register", is_flag=True, help="Also log and register the results in MLflow, named like the folder.")
@click.option("--unlabelled", is_flag=True, help="Ignore labels: measure the agreement with the float model.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def quantize(model: Path, data: Path, **options: Any) -> None:
    """Quantize MODEL, a float ONNX file, measure each variant on your data, and say which one to ship.

    The variants are ONNX files and, where octavo[litert] is installed, LiteRT files.

    DATA is a folder with one folder of images for each class, a folder of images without classes, an .npz or .npy
    file, a folder of .npy files, or a .csv or .parquet table of paths and labels. It is
    divided by content into calibration, selection and test.

    Example: octavo quantize net.onnx --data photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    _check(model, data, options)
    act("quantize", model, data, options)


def _check(model: Path, data: Path, options: dict[str, Any]) -> None:
    """Check what can be checked without slow libraries.

    Raises:
        OctavoError: a path does not exist, a recipe or a format is unknown, or a number is out of range.
        ModuleNotFoundError: MLflow or a format is asked for, and not installed.
    """
    if not model.is_file():
        raise ModelError(f"{model} is {'a folder' if model.is_dir() else 'not there'}. MODEL is an ONNX file.")
    if model.suffix.lower() in ELSEWHERE:
        project = f". Or make a project, which takes it as it is: octavo init --model {model} --data {data}"
        raise ModelError(
            f"{model} is no ONNX file. Export it to ONNX, with {ELSEWHERE[model.suffix.lower()]}"
            f"{project if model.suffix in KERAS else ''}."
        )
    for name, path in (("--data", data), ("--calibration", options["calibration"]), ("--test", options["test"])):
        if path is not None and not path.exists():
            raise DataError(f"{name} {path} is not there. Give a folder of images, an array or a table.")
    _check_recipes(options["recipes"], options["format"])
    if not 0 <= options["seconds"] <= LONGEST:
        raise ParamsError(
            f"--seconds is {options['seconds']:g}, allowed are 0 to {LONGEST:g}. 0 switches the search off."
        )
    _check_encoding(options)
    if options["register"]:
        extras.require("mlflow")


def _check_recipes(asked: Sequence[str], form: str | None) -> None:
    """Check recipes and their format by the recipes' files: to import their package takes a second."""
    package = find_spec(RECIPES)
    assert package, f"{RECIPES} is not there"
    folders = [Path(folder) for folder in package.submodule_search_locations or ()]
    files = [path for each in folders for path in each.glob("*/[!_]*.py")]
    known, formats = sorted(f"{path.parent.name}_{path.stem}" for path in files), {path.parent.name for path in files}
    if form not in (None, *formats):
        raise ParamsError(f"Unknown format '{form}'.{known_are(str(form), sorted(formats))}.")
    for name in asked:
        made = name.partition("_")[0]
        if name not in known:
            raise ParamsError(f"Unknown recipe '{name}'.{known_are(name, known)}.")
        if form not in (None, made):
            raise ParamsError(f"--recipe {name} makes {made} files, and --format is {form}. Leave out one of the two.")
    extras.require(*extras.EXTRAS.keys() & {form, *(name.partition("_")[0] for name in asked)})


def _check_encoding(options: dict[str, Any]) -> None:
    scale, mean, std = options["scale"], options["mean"], options["std"]
    if scale is not None and not 0 < scale < float("inf"):
        raise ParamsError(f"--scale is {scale:g}, allowed are numbers above 0. Pixels are divided by it.")
    if any(not 0 < value < float("inf") for value in std):
        raise ParamsError(f"--std is {','.join(f'{value:g}' for value in std)}, allowed are numbers above 0.")
    if any(abs(value) == float("inf") or value != value for value in mean):  # noqa: PLR0124 - NaN alone differs from itself
        raise ParamsError("--mean must be finite.")
    if len({len(mean), len(std)} - {0, 1}) > 1:
        raise ParamsError(
            f"--mean has {len(mean)} numbers and --std {len(std)}. Give each one for all channels, or one per channel."
        )
