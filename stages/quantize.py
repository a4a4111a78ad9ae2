"""DVC stage `quantize`: one exported network in, one variant out."""

import sys

from pipeline import layout, recipes
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import load_split, pixels


@boundary()
def main(name: str) -> None:
    variant = load_params().variant(name)
    calibration = pixels(load_split(layout.split("calibration")).images)
    recipes.quantize(variant.recipe, layout.exported(variant.source), layout.model(name), calibration, variant.options)


if __name__ == "__main__":
    main(sys.argv[1])
