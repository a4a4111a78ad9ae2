"""Whether Octavo's runtime costs anything: `python benchmarks/exact_sums.py` (ten minutes to an hour on a quiet core).

Octavo decides about exact sums when it opens a file. Here its runtime is timed beside plain onnxruntime on the same
file, interleaved in one process, for four networks trained on MNIST, quantized by `onnx_int8_static` and
`onnx_int8_qat`, on batches of 1 and 32 images: on a CPU that cuts nothing off (VNNI, AMX, ARM) the ratio is 1. Each
ratio takes as many rounds as its 95% interval needs to be narrow enough. Logits are compared with those of plain
onnxruntime with exact sums and without. Prints a table, writes `benchmarks/results/exact_sums.json`, and ends with exit
code 1 where, on a CPU that cuts nothing off, an interval is not within 0.97 to 1.03, or logits differ.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import onnx
import onnxruntime
import pooch
from rich.console import Console
from rich.table import Table

from octavo.backends import latency as backends_latency
from octavo.backends.onnxruntime import exact_sums, integer_weights
from octavo.backends.predictor import Predictor
from octavo.backends.registry import open_model
from octavo.data import prepare
from octavo.data.splits import Samples, load_split
from octavo.project import errors
from octavo.project.params.data import Data
from octavo.quantization import recipes

WIDTH = 140
"""Columns that the table takes where the terminal tells no more."""
RESULTS = Path(__file__).parent / "results" / "exact_sums.json"
TRAINER = Path(__file__).parent / "peers" / "networks.py"
NETWORKS = ("small_cnn", "cnn4", "depthwise_cnn", "resnet8")
BATCHES = (1, 32)
RECIPES = {"onnx_int8_static": "fp32", "onnx_int8_qat": "qat"}
"""Recipe -> the network that it starts from."""
PLAIN, OCTAVO = "onnxruntime", "octavo"
NARROW = 0.01
"""Half the width of an interval that is narrow enough."""
FEWEST, MOST = 40, 1280
"""Rounds of a ratio: doubled until its interval is narrow enough."""
LOWEST, HIGHEST = 0.97, 1.03
IMAGES = 1000
"""Of the test split, whose logits are compared."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    narrow: float
    most: int


@click.command()
@click.option("--networks", type=click.Path(path_type=Path), help="Where trained networks are kept.")
@click.option("--only", multiple=True, type=click.Choice(NETWORKS), help="Just these networks, no record.")
@click.option("--narrow", default=NARROW, show_default=True, help="Half the width of a narrow interval.")
@click.option("--most", default=MOST, show_default=True, help="Rounds of a ratio at most.")
@errors.boundary()
def main(networks: Path | None, only: Sequence[str], narrow: float, most: int) -> None:
    """Time Octavo's runtime beside plain onnxruntime on the same INT8 files."""
    folder = (networks or Path(pooch.os_cache("octavo"), "networks")).resolve()
    names, limits = only or NETWORKS, Limits(narrow, most)
    machine, cut_off = backends_latency.describe_machine(), exact_sums.cut_off_here()
    sets = ", ".join(machine["instruction_sets"]) or "not told"
    print(f"{machine['cpu']}; instruction sets: {sets}; sums are {'' if cut_off else 'not '}cut off", file=sys.stderr)
    train(folder, names)
    rows = [row for name in names for recipe in RECIPES for row in compare(name, recipe, folder, limits)]
    if not only:
        record = {"n": IMAGES, "machine": machine, "cut_off": cut_off, "rows": rows}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(rows)
    broken = [row for row in rows if not holds(row)]
    sys.exit(1 if broken and not cut_off else 0)


def train(folder: Path, names: Sequence[str]) -> None:
    """Split MNIST, train and export the networks called `names`, where that is not done."""
    if not (folder / "data" / "manifest.json").exists():
        prepare.prepare(Data(source="mnist"), folder / "data")
    for name in names:
        if not (folder / name / "qat" / "model.onnx").exists():
            subprocess.run([sys.executable, TRAINER, name, folder], check=True)


def compare(name: str, recipe: str, folder: Path, limits: Limits) -> list[Row]:
    """A row a batch size."""
    data = folder / "data"
    images = load_split(data / "test").images[:IMAGES]
    samples = Samples(load_split(data / "calibration").images, load_split(data / "selection"))
    with TemporaryDirectory() as place:
        path = Path(place, "model.onnx")
        recipes.quantize(recipe, folder / name / RECIPES[recipe], path, samples, {})
        runners = {PLAIN: plain(path), OCTAVO: open_model(path)}
        exact = plain(path, exact=True)(images)
        found: Row = {"network": name, "recipe": recipe} | {
            f"logits equal to exact sums, {runner}": bool(np.array_equal(predict(images), exact))
            for runner, predict in runners.items()
        }
        return [found | timed(runners, images, batch, limits) for batch in BATCHES]


def plain(path: Path, exact: bool = False) -> Predictor:
    """What anyone writes who opens the file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnx.load(path)
    if exact:
        integer_weights.separate(model.graph)  # with the option, onnxruntime loads no tensor that two operators read
        options.add_session_config_entry(exact_sums.OPTION, "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return Predictor(lambda images: np.asarray(session.run(None, {source: images})[0]))


def timed(runners: dict[str, Predictor], images: np.ndarray, batch: int, limits: Limits) -> Row:
    """Octavo's latency beside plain onnxruntime's, and onnxruntime's beside itself, which shows the noise."""
    rounds = FEWEST
    while True:
        latency = backends_latency.measure(runners, PLAIN, images, batch, rounds, seed=rounds)
        low, high = latency[OCTAVO].ratio_ci95
        if (high - low) / 2 <= limits.narrow or 2 * rounds > limits.most:
            break
        rounds *= 2
    return {
        "batch": batch,
        "rounds": rounds,
        "p50_us": latency[PLAIN].p50_us,
        "ratio": latency[OCTAVO].ratio,
        "ratio_ci95": latency[OCTAVO].ratio_ci95,
        "noise_ci95": latency[PLAIN].ratio_ci95,
    }


def holds(row: Row) -> bool:
    low, high = row["ratio_ci95"]
    return low >= LOWEST and high <= HIGHEST and all(value for name, value in row.items() if name.startswith("logits"))


def show(rows: Sequence[Row]) -> None:
    table = Table("network", "recipe", "batch", "p50, µs", "octavo ÷ onnxruntime", "itself", "rounds", "logits equal")
    for row in rows:
        equal = [name.rsplit(", ")[-1] for name, value in row.items() if name.startswith("logits") and value]
        table.add_row(
            row["network"],
            row["recipe"],
            str(row["batch"]),
            f"{row['p50_us']:,.1f}",
            f"{row['ratio']:.3f} [{row['ratio_ci95'][0]:.3f}, {row['ratio_ci95'][1]:.3f}]",
            f"[{row['noise_ci95'][0]:.3f}, {row['noise_ci95'][1]:.3f}]",
            str(row["rounds"]),
            ", ".join(equal) or "none",
        )
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table)


if __name__ == "__main__":
    main()
