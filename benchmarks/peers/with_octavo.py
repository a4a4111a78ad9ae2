"""One of Octavo's recipes, run as the peers are: `python with_octavo.py EXPORTED DATA OUTPUT RECIPE [OPTIONS]`.

EXPORTED is the folder of one exported network, DATA that of the splits; OPTIONS are JSON.
"""

import json
import sys
from pathlib import Path

from octavo.data.splits import Samples, load_split
from octavo.quantization import recipes


def quantize(exported: str, data: str, target: str, recipe: str, options: str = "{}") -> None:
    samples = Samples(load_split(Path(data, "calibration")).images, load_split(Path(data, "selection")))
    recipes.quantize(recipe, Path(exported), Path(target), samples, json.loads(options))


if __name__ == "__main__":
    quantize(*sys.argv[1:])
