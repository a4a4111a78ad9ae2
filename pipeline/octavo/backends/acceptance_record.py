"""The result of trying a variant's model file: `acceptance.json` next to the model, or `refused.json` in its place."""

import shutil

from octavo.backends.records import Acceptance, Refusal
from octavo.project import paths
from octavo.project.errors import VariantRefused
from octavo.project.files import atomic_write, json_file

FINITE = "If the network's own logits are finite, use a recipe that computes in float. Otherwise, train it again."
"""The remedy for logits that are not finite."""
WRITER = "a record of the stage quantize"


def accept(variant: str, figures: Acceptance) -> None:
    """Write the figures next to the model of `variant`, and remove an earlier refusal."""
    paths.refusal(variant).unlink(missing_ok=True)
    atomic_write.write_text(paths.acceptance(variant), figures.model_dump_json(indent=1) + "\n")


def refuse(variant: str, refusal: Refusal) -> None:
    """Replace the whole model folder of `variant` by the refusal."""
    place = paths.refusal(variant)
    shutil.rmtree(place.parent, ignore_errors=True)
    atomic_write.write_text(place, refusal.model_dump_json(indent=1) + "\n")


def acceptance(variant: str) -> Acceptance:
    """The figures that `accept` wrote for `variant`.

    Raises:
        ModelError: the record is missing or unreadable.
    """
    return json_file.read_output(paths.acceptance(variant), Acceptance, WRITER)


def refusal(variant: str) -> Refusal | None:
    """Why `variant` has no model, or None if it was not refused.

    Raises:
        ModelError: the record is unreadable.
    """
    path = paths.refusal(variant)
    return json_file.read_output(path, Refusal, WRITER) if path.exists() else None


def check_baseline(variant: str) -> None:
    """Check that the baseline was not refused. Everything is measured against it.

    Raises:
        VariantRefused: the baseline was refused.
        ModelError: the record is unreadable.
    """
    found = refusal(variant)
    if found:
        raise baseline_refused(variant, str(found))


def baseline_refused(variant: str, why: str) -> VariantRefused:
    """The error for a refused baseline. `why` is one or more full sentences."""
    return VariantRefused(
        f"The baseline {variant} is refused, and nothing can be measured without a baseline. {why} Or set another "
        "variant as baseline in params.yaml."
    )
