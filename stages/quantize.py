"""DVC stage `quantize`: one exported network in, one variant out, or why its file is refused."""

import sys

from pipeline import admission, layout, recipes
from pipeline.acceptance import FileRefused
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import Samples, load_split


@boundary()
def main(name: str) -> None:
    variant = load_params().variant(name)
    calibration, selection = load_split(layout.split("calibration")), load_split(layout.split("selection"))
    samples = Samples(calibration.images, selection, variant.min_sqnr_db)
    source, target = layout.exported(variant.source), layout.model(name)
    try:
        admission.accept(name, recipes.quantize(variant.recipe, source, target, samples, variant.options))
    except FileRefused as error:
        admission.refuse(name, error.refusal)
        print(f"Refused {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
