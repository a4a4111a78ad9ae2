"""DVC stage `quantize`: one exported network in, one variant out, or why its file is refused."""

import sys

from octavo.backends import acceptance_record
from octavo.data.splits import Samples, load_split
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params.params import load_params
from octavo.quantization import recipes
from octavo.quantization.acceptance import FileRefused


@boundary()
def main(name: str) -> None:
    variant = load_params().variant(name)
    calibration, selection = load_split(paths.split("calibration")), load_split(paths.split("selection"))
    samples = Samples(calibration.images, selection, variant.min_sqnr_db)
    source, target = paths.exported(variant.source), paths.model(name)
    try:
        acceptance_record.accept(name, recipes.quantize(variant.recipe, source, target, samples, variant.options))
    except FileRefused as error:
        acceptance_record.refuse(name, error.refusal)
        print(f"Refused {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
