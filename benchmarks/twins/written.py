"""Write files by recipes in a process of its own: `python -m benchmarks.twins.written RECIPE EXPORTED DATA TARGET`.

So `PYTHONHASHSEED` can differ from process to process.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from octavo.data.splits import Samples, load_split
from octavo.quantization import recipes

ROOT = Path(__file__).parents[2]
SEEDS = ("1", "2")


def samples(data: Path) -> Samples:
    """What recipes may look at."""
    return Samples(load_split(data / "calibration").images, load_split(data / "selection"))


def is_same(path: Path, recipe: str, exported: Path, data: Path) -> bool:
    """Whether processes with other hash seeds write the file at `path` again, to the byte.

    Args:
        path: what the recipe wrote.
        recipe: its name.
        exported: folder of the network.
        data: folder of the splits.
    """
    digests = {hashlib.sha256(path.read_bytes()).hexdigest()}
    return digests == digests.union(_again(path, recipe, exported, data))


def _again(path: Path, recipe: str, exported: Path, data: Path) -> Iterator[str]:
    for seed in SEEDS:
        target = path.with_name(f"again{path.suffix}")
        command = [sys.executable, "-m", "benchmarks.twins.written", recipe, *map(str, (exported, data, target))]
        subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, stderr=subprocess.DEVNULL
        )
        yield hashlib.sha256(target.read_bytes()).hexdigest()


if __name__ == "__main__":
    name, *places = sys.argv[1:]
    network, splits, made = map(Path, places)
    recipes.quantize(name, network, made, samples(splits), {})
