"""DVC stage `quantize`: one exported network in, one variant out."""

import sys

from pipeline import layout, recipes
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import Samples, load_split


@boundary()
def main(name: str) -> None:
    variant = load_params().variant(name)
    samples = Samples(load_split(layout.split("calibration")).images, load_split(layout.split("selection")))
    recipes.quantize(variant.recipe, layout.exported(variant.source), layout.model(name), samples, variant.options)


if __name__ == "__main__":
    main(sys.argv[1])
