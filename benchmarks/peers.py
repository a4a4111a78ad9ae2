"""Octavo beside its peers: `python benchmarks/peers.py` (about ten minutes on two cores, twice that the first time).

Every tool gets the same FP32 file and the same calibration images, and is judged by the same runtimes on MNIST's
10,000 test images. A tool is a small program in `benchmarks/peers/` that uv runs in an environment of its own, with
the releases that its header pins; one whose environment cannot be made, or which fails, is a row that says why.
Prints a table and writes `benchmarks/results/peers.json`. Trained networks are kept in the user's cache, or in
`--networks FOLDER`. MNIST comes from $OCTAVO_DATA, the user's cache or the network.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import pooch
from rich.console import Console
from rich.table import Table

from octavo.backends import latency as backends_latency
from octavo.backends import predictor
from octavo.backends.registry import Predictor, open_model
from octavo.data import prepare
from octavo.data.input_encoding import encode
from octavo.data.splits import Split, load_split
from octavo.evaluation import integer_coverage
from octavo.project import errors
from octavo.project.params.data import Data
from octavo.quantization import recipes
from octavo.tasks import classification

PROGRAMS = Path(__file__).with_suffix("")
RESULTS = Path(__file__).parent / "results" / "peers.json"
BASELINE = "FP32"
BATCHES = (1, 32)
HEADERS = tuple(f"batch {batch}" for batch in BATCHES)
CAPTION = "integer: share of multiply-accumulates in integer kernels; batch: latency over FP32's, one thread"
ROUNDS = 30
TIME_LIMIT = 1800
"""Seconds after which a tool has failed."""
WIDTH = 140
"""Columns that the table takes where the terminal tells no more."""
REASON = 300
"""Last characters of what a tool said when it failed."""


@dataclass(frozen=True)
class Tool:
    name: str
    form: str
    program: str
    source: str
    """What it starts from, below the exported network's folder."""
    suffix: str
    arguments: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return PROGRAMS / f"with_{self.program}.py"

    @property
    def version(self) -> str | None:
        """The release that the program's header pins first, which is the tool's own; Octavo's has no header."""
        pinned = re.search(
            r'^# dependencies = \["[^"=]+==([^"]+)"', self.path.read_text(encoding="utf-8"), re.MULTILINE
        )
        return pinned[1] if pinned else None

    @property
    def title(self) -> str:
        return f"{' '.join(filter(None, (self.name, self.version)))}, {self.form}"


ONNXRUNTIME = (
    Tool("onnxruntime", "default", "onnxruntime", "model.onnx", ".onnx", ("default",)),
    Tool("onnxruntime", "per-channel QDQ", "onnxruntime", "model.onnx", ".onnx", ("qdq",)),
    Tool("onnxruntime", "QOperator", "onnxruntime", "model.onnx", ".onnx", ("qoperator",)),
)
PEERS = (
    *ONNXRUNTIME,
    Tool("Olive", "static", "olive", "model.onnx", ".onnx"),
    Tool("NNCF", "default", "nncf", "model.onnx", ".onnx"),
    Tool("NNCF", "accuracy control", "nncf", "model.onnx", ".onnx", ("selection.npz",)),
    Tool("neural-compressor", "default", "neural_compressor", "model.onnx", ".onnx"),
    Tool("TensorFlow", "LiteRT INT8", "litert", "saved_model", ".tflite"),
    Tool("ai-edge-quantizer", "static", "ai_edge_quantizer", "float.tflite", ".tflite"),
)
NETWORKS = {"small_cnn": PEERS, "cnn4": ONNXRUNTIME, "depthwise_cnn": ONNXRUNTIME, "resnet8": PEERS}
DIALS = {
    "searched": '{"search": {}, "repair": {}}',
    "first layer float": '{"float_layers": [0]}',
    "first two float": '{"float_layers": [0, 1]}',
}
"""What else `onnx_int8_static` is told, by the name of the row."""

Row = dict[str, Any]


@click.command()
@click.option("--networks", type=click.Path(path_type=Path), help="Where trained networks are kept.")
@click.option("--only", multiple=True, type=click.Choice(list(NETWORKS)), help="Just these networks, and no record.")
@errors.boundary()
def main(networks: Path | None, only: Sequence[str]) -> None:
    """Quantize MNIST networks by Octavo and by its peers, and judge what comes out."""
    folder = (networks or Path(pooch.os_cache("octavo"), "networks")).resolve()
    names = only or list(NETWORKS)
    train(folder, names)
    rows = [row for name in names for row in compare(name, folder)]
    if not only:
        record = {"n": len(load_split(folder / "data" / "test").labels), "machine": backends_latency.describe_machine()}
        RESULTS.write_text(json.dumps(record | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    show(rows)


def train(folder: Path, names: Iterable[str]) -> None:
    """Split MNIST, train and export the networks called `names`, where that is not done."""
    if not (folder / "data" / "manifest.json").exists():
        prepare.prepare(Data(source="mnist"), folder / "data")
    for name in names:
        if not (folder / name / "qat" / "model.onnx").exists():
            subprocess.run([sys.executable, PROGRAMS / "networks.py", name, folder], check=True)


def compare(name: str, folder: Path) -> list[Row]:
    """One row for the FP32 file, one for each of Octavo's INT8 recipes and one for each peer."""
    data, exported = folder / "data", folder / name
    test, selection = load_split(data / "test"), load_split(data / "selection")
    rows: list[Row] = [{"tool": BASELINE}]
    files = {BASELINE: exported / "fp32" / "model.onnx"}
    with TemporaryDirectory() as place:
        work = Path(place)
        work.joinpath("data").symlink_to(data)
        np.save(work / "calibration.npy", encode(load_split(data / "calibration").images))
        np.savez(work / "selection.npz", images=encode(selection.images), labels=selection.labels)
        run(Tool("Octavo", "float", "octavo", "fp32", ".tflite", ("litert_fp32",)), exported, work / "float.tflite")
        for tool in (*octavo(), *NETWORKS[name]):
            print(f"{name}: {tool.title}", file=sys.stderr)
            sources = {"octavo": exported, "ai_edge_quantizer": work}.get(tool.program, exported / "fp32")
            target = work / f"{len(rows)}{tool.suffix}"
            row = run(tool, sources, target)
            rows.append(row)
            if "failure" not in row:
                files[tool.title] = target
        judged = judge(files, test, selection)
    return [{"network": name} | row | judged.get(row["tool"], {}) for row in rows]


def octavo() -> list[Tool]:
    """All INT8 recipes; those for learned ranges start from the network that has them."""
    plain = [
        Tool(
            name="Octavo",
            form=recipe,
            program="octavo",
            source="qat" if "qat" in recipe else "fp32",
            suffix=".tflite" if recipe.startswith("litert") else ".onnx",
            arguments=(recipe,),
        )
        for recipe in recipes.names()
        if "int8" in recipe
    ]
    dialled = [
        Tool("Octavo", f"onnx_int8_static, {name}", "octavo", "fp32", ".onnx", ("onnx_int8_static", options))
        for name, options in DIALS.items()
    ]
    return [*plain, *dialled]


def run(tool: Tool, sources: Path, target: Path) -> Row:
    """Run the tool beside `target`; `seconds` count its whole process, but not the making of its environment.

    Returns:
        The row as far as it is known, with the `failure` where there is one.
    """
    row: Row = {"tool": tool.title}
    program, images = [sys.executable], "data"
    if tool.version:
        program = [sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--script"]
        images = "calibration.npy"
    try:
        if tool.version:
            execute([sys.executable, "-m", "uv", "sync", "--quiet", "--script", tool.path], target.parent)
        start = time.perf_counter()
        execute([*program, tool.path, sources / tool.source, images, target, *tool.arguments], target.parent)
        row["seconds"] = round(time.perf_counter() - start, 1)
        open_model(target)(np.load(target.with_name("calibration.npy"))[:1])
    except subprocess.CalledProcessError as error:
        row["failure"] = " ".join(error.stderr.split())[-REASON:]
    except (subprocess.TimeoutExpired, errors.OctavoError, ValueError) as error:  # ValueError: it takes other images
        row["failure"] = str(error)
    return row


def execute(command: Sequence[str | Path], folder: Path) -> None:
    subprocess.run(
        command,
        cwd=folder,
        env=uv_environment(),
        check=True,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=TIME_LIMIT,
    )


def uv_environment() -> dict[str, str]:
    """This environment, with what pip was told of indexes and certificates in uv's words.

    A folder of wheels that pip knows is handed on.
    """
    told = {"UV_SYSTEM_CERTS": "true"}
    for pip, uv in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if pip in os.environ:
            told[uv] = os.environ[pip]
    if "PIP_FIND_LINKS" in os.environ:
        told["UV_FIND_LINKS"] = os.environ["PIP_FIND_LINKS"]
    return told | os.environ


def judge(files: dict[str, Path], test: Split, selection: Split) -> dict[str, Row]:
    """Size, quality and proof of every file, and latency of all of them in this one process."""
    predictors: dict[str, Predictor] = {name: open_model(path) for name, path in files.items()}
    logits = {name: predictor.logits(predict, test.images) for name, predict in predictors.items()}
    latency = {
        batch: backends_latency.measure(predictors, BASELINE, encode(selection.images[:batch]), batch, ROUNDS)
        for batch in BATCHES
    }
    judged = {}
    for name, path in files.items():
        quality = classification.judge(test, logits[name], logits[BASELINE])
        judged[name] = {
            "file_bytes": path.stat().st_size,
            "accuracy": quality.top1,
            "agreement": quality.vs_baseline.agreement,
            "integer_compute_share": integer_coverage.prove(path).integer_compute_share,
            "latency_ratio": {str(batch): figures[name].ratio for batch, figures in latency.items()},
            "latency_ratio_ci95": {str(batch): figures[name].ratio_ci95 for batch, figures in latency.items()},
        }
    return judged


def show(rows: Sequence[Row]) -> None:
    table = Table("network", "tool", "bytes", "accuracy", "agreement", "integer", *HEADERS, "seconds", caption=CAPTION)
    network = None
    for row in rows:
        if row["network"] != network:
            table.add_section()
        network = row["network"]
        table.add_row(network, row["tool"], *(["failed"] if "failure" in row else cells(row)))
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    console.print(table)
    for row in rows:
        if "failure" in row:
            console.print(f"{row['network']}, {row['tool']}: {row['failure']}", markup=False)


def cells(row: Row) -> list[str]:
    return [
        f"{row['file_bytes']:,}",
        f"{row['accuracy']:.2%}",
        f"{row['agreement']:.2%}",
        f"{row['integer_compute_share']:.0%}",
        *(f"{ratio:.2f}" for ratio in row["latency_ratio"].values()),
        f"{row['seconds']:.1f}" if "seconds" in row else "",
    ]


if __name__ == "__main__":
    main()
