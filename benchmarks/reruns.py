"""Which stages run again when a module changes: `python benchmarks/reruns.py`.

Copies the code into a folder, changes each of `CHANGED` in turn, and lets the stage `code` write its digests: a stage
runs again when its digest has changed. Prints a table and writes `benchmarks/results/reruns.json`. Stages further down
run again only where what they read has changed, too; DVC compares that.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "reruns.json"
SOURCES = ("pipeline", "stages", "mlflow_plugins")
CHANGED = (
    "pipeline/octavo/data/sources/digits.py",
    "pipeline/octavo/data/duplicates.py",
    "pipeline/octavo/data/splits.py",
    "pipeline/octavo/training/networks.py",
    "pipeline/octavo/training/quantization_aware/qat.py",
    "pipeline/octavo/training/export.py",
    "pipeline/octavo/onnx_graph/canonicalize.py",
    "pipeline/octavo/onnx_graph/qdq.py",
    "pipeline/octavo/quantization/calibration.py",
    "pipeline/octavo/quantization/recipes/onnx/int8_static.py",
    "pipeline/octavo/quantization/recipes/onnx/fp16.py",
    "pipeline/octavo/quantization/recipes/litert/int8_qat.py",
    "pipeline/octavo/quantization/converter/biases.py",
    "pipeline/octavo/backends/latency.py",
    "pipeline/octavo/evaluation/integer_coverage.py",
    "pipeline/octavo/promotion/gate.py",
    "pipeline/octavo/reporting/templates/report.html.j2",
    "pipeline/octavo/project/errors.py",
    "mlflow_plugins/octavo_mlflow/registration/register.py",
    "mlflow_plugins/octavo_mlflow/serving/server.py",
)


def main() -> None:
    with TemporaryDirectory() as folder:
        project = Path(folder)
        for name in SOURCES:
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "params.yaml", project)
        before = digests(project)
        found = {name: different(before, changed(project, name)) for name in CHANGED}
    table = Table("changed", "runs again", title="Stages whose code has changed")
    for name, stages in found.items():
        table.add_row(name, ", ".join(stages) or "none")
    Console().print(table)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def changed(project: Path, name: str) -> dict[str, Any]:
    """The digests while one file has another line."""
    path = project / name
    content = path.read_bytes()
    path.write_bytes(content + (b"\n# another line\n" if path.suffix == ".py" else b"\n"))
    try:
        return digests(project)
    finally:
        path.write_bytes(content)


def digests(project: Path) -> dict[str, Any]:
    """What the stage `code` writes, with the code in `project`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(project / name) for name in SOURCES)}
    subprocess.run([sys.executable, "-m", "octavo_stages.code"], cwd=project, env=environment, check=True)
    return dict(json.loads((project / "artifacts/code.json").read_bytes()))


def different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Stages with another digest; `quantize` alone where all of its items have another one."""
    found = []
    for stage, digest in before.items():
        if not isinstance(digest, dict):
            found += [stage] if after[stage] != digest else []
            continue
        items = [item for item in digest if after[stage][item] != digest[item]]
        found += [stage] if items and len(items) == len(digest) else [f"{stage}@{item}" for item in items]
    return found


if __name__ == "__main__":
    main()
