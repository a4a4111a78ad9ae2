"""Make one variant as `params.yaml` asks and test its file. A refused file leaves its reason instead."""

from octavo.backends import acceptance_record, model_files
from octavo.data.splits import Samples, load_split
from octavo.project import paths, story
from octavo.project.params.params import Params
from octavo.quantization import recipes
from octavo.quantization.acceptance import FileRefused


def make(name: str, params: Params) -> str:
    """Make the variant `name` from its exported network. A refused file is recorded, not raised.

    Returns:
        The result in one line: bytes and SQNR, or why the file is refused.

    Raises:
        ParamsError: there is no such variant or recipe, or the recipe does not know one of its options.
        ModelError: the network is missing or cannot be run.
    """
    variant = params.variant(name)
    calibration, selection = load_split(paths.split("calibration")), load_split(paths.split("selection"))
    samples = Samples(calibration.images, selection, variant.min_sqnr_db)
    source, target = paths.exported(variant.source), model_files.path_of(name)
    try:
        with story.counter(f"quantize {name}"):
            figures = recipes.quantize(variant.recipe, source, target, samples, variant.options)
    except FileRefused as error:
        acceptance_record.refuse(name, error.refusal)
        return f"Refused {name}: {error}"
    acceptance_record.accept(name, figures)
    return f"{name}: {target.stat().st_size:,} bytes, SQNR {figures.sqnr_db:.1f} dB"
