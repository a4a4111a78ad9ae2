"""What large networks cost: `python benchmarks/large.py` (six minutes, and 20 GB of memory).

Exports dense networks of 100 million weights (400 MB) and of 625 million (2.5 GB, more than protobuf holds), quantizes
them and runs every file. Each step has a process of its own, so that its peak memory is its own, libraries included.
Prints a table and writes it to `benchmarks/results/large.json`.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.project import paths
from octavo.quantization import recipes

WIDTHS = {10_000: 4, 25_000: 20}
"""Inputs and outputs of the one dense layer, and the gigabytes of free memory below which it is skipped."""
RECIPES = ("onnx_int8_static", "onnx_int8_dynamic", "onnx_int8_weight_only")
SAMPLES = 64
RUNS = 20
GB = 1e9
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "large.json"

Figures = dict[str, float | str]


def main() -> None:
    figures = [row for width, needed in WIDTHS.items() for row in measure(width, needed)]
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "steps": figures}, indent=1) + "\n", encoding="utf-8")
    show(figures)


def measure(width: int, needed: float) -> list[Figures]:
    """Every step for one network; a row says why where one is missing."""
    if (free := available()) < needed:
        return [{"width": width, "step": "all", "skipped": f"{free:.0f} GB of memory are free, {needed} are needed"}]
    with TemporaryDirectory() as folder:
        return [in_process(step, width, Path(folder)) for step in ("export", *RECIPES)]


def available() -> float:
    """Gigabytes that programs can have, the disk cache's share included, as Linux tells."""
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
    return int(line.split()[1]) * 1024 / GB


def in_process(step: str, width: int, folder: Path) -> Figures:
    command = [sys.executable, __file__, step, str(width), str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    row: Figures = {"width": width, "step": step}
    if done.returncode:
        return row | {"skipped": done.stderr.strip().rpartition("\n")[2]}
    return row | json.loads(done.stdout)


def step_of(name: str, width: int, folder: Path) -> None:
    """One step, in this process; its figures go to stdout."""
    seconds = export(width, folder) if name == "export" else quantize(name, width, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB
    path = model_file(name, folder)
    size = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*")) / 1e6
    figures = {"seconds": seconds, "peak_gb": peak, "file_mb": size, "run_ms": latency(path, width)}
    print(json.dumps({key: round(value, 3) for key, value in figures.items()}))


def export(width: int, folder: Path) -> float:
    keras, training = import_module("tf_keras"), import_module("octavo.training.export")
    model = keras.Sequential([keras.layers.Input((width,)), keras.layers.Dense(width)])
    return timed(lambda: training.export(model, images(width)[:8], folder / paths.exported("fp32")))


def quantize(recipe: str, width: int, folder: Path) -> float:
    samples = Samples(images(width), Split(images(width), np.zeros(SAMPLES, np.int64)))
    recipes.load(recipe)
    exported, target = folder / paths.exported("fp32"), model_file(recipe, folder)
    return timed(lambda: recipes.quantize(recipe, exported, target, samples, {}))


def model_file(step: str, folder: Path) -> Path:
    return folder / (paths.exported("fp32") / "model.onnx" if step == "export" else model_files.path_of(f"onnx_{step}"))


def latency(path: Path, width: int) -> float:
    """Milliseconds for one image on one thread."""
    predict, image = open_model(path), images(width)[:1]
    return median(timed(lambda: predict(image)) for _ in range(RUNS)) * 1000


def images(width: int) -> np.ndarray:
    return np.random.default_rng(0).random((SAMPLES, width), dtype=np.float32)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def show(figures: list[Figures]) -> None:
    table = Table("weights", "step", "seconds", "peak GB", "file MB", "run ms")
    for row in figures:
        cells = ["seconds", "peak_gb", "file_mb", "run_ms"]
        shown = [f"{row[cell]:,.1f}" for cell in cells if cell in row]
        table.add_row(f"{int(row['width']) ** 2:,}", str(row["step"]), *shown)
    console = Console()
    console.print(table)
    for row in figures:
        if "skipped" in row:
            console.print(f"{row['step']} at width {row['width']}: {row['skipped']}", soft_wrap=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        step_of(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
