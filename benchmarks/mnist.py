"""What the default network reaches on all of MNIST: `python benchmarks/mnist.py` (about three minutes on one core).

Runs the experiment that the README shows in a clone of this commit, prints its figures beside the reference ones and
writes them to `benchmarks/results/mnist.json`. MNIST comes from $OCTAVO_DATA, the user's cache or the network.
"""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

SETTINGS = {
    "data.source": "mnist",
    "networks.fp32.epochs": 1,
    **{
        f"finetuned.{name}.{key}": value
        for name in ("control", "qat")
        for key, value in {"epochs": 1, "batch_size": 500, "learning_rate": 0.001}.items()
    },
}
REFERENCE = {"onnx_fp32": 0.955, "onnx_int8_qat": 0.958, "litert_int8_qat": 0.958}
"""Test accuracy after one epoch, and one more of quantization-aware training, as published for this network."""
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mnist.json"


def main() -> None:
    with TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        settings = [part for name, value in SETTINGS.items() for part in ("-S", f"{name}={value}")]
        subprocess.run(["dvc", "exp", "run", "--quiet", *settings, "report"], cwd=folder, check=True)
        record = json.loads(Path(folder, "reports", "scorecards.json").read_bytes())
    cards = {card["variant"]: card for card in record["scorecards"]}
    figures = {
        name: {
            "accuracy": card["quality"]["top1"],
            "ci95": card["quality"]["ci95"],
            "reference": REFERENCE.get(name),
            "size_bytes": card["size"]["file_bytes"],
            "latency_ratio": {batch: latency["ratio"] for batch, latency in card["latency"]["batches"].items()},
        }
        for name, card in cards.items()
    }
    result = {"settings": SETTINGS, "n": cards["onnx_fp32"]["quality"]["n"], "machine": record["machine"]}
    RESULTS.write_text(json.dumps(result | {"variants": figures}, indent=1) + "\n", encoding="utf-8")
    show(figures)


def show(figures: dict[str, dict[str, float]]) -> None:
    table = Table("variant", "accuracy", "reference", "bytes")
    for name, row in figures.items():
        reference = f"{row['reference']:.1%}" if row["reference"] else ""
        table.add_row(name, f"{row['accuracy']:.2%}", reference, f"{row['size_bytes']:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
