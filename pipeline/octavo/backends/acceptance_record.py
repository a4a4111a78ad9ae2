"""What came of trying one variant's file, as it lies where the model would: `acceptance.json` or `refused.json`."""

import shutil
from pathlib import Path
from typing import TypeVar

from octavo.backends.records import Acceptance, Refusal
from octavo.project import paths
from octavo.project.errors import ModelError, VariantRefused
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record

FINITE = "If the network's own logits are finite, take a recipe that computes in float; else train it anew."
"""The remedy where logits are not finite."""

Found = TypeVar("Found", bound=Record)


def accept(variant: str, figures: Acceptance) -> None:
    """Write the figures beside the model of `variant`."""
    paths.refusal(variant).unlink(missing_ok=True)
    atomic_write.write_text(paths.acceptance(variant), figures.model_dump_json(indent=1) + "\n")


def refuse(variant: str, refusal: Refusal) -> None:
    """Let the refusal stand in the place of the model, and nothing else."""
    place = paths.refusal(variant)
    shutil.rmtree(place.parent, ignore_errors=True)
    atomic_write.write_text(place, refusal.model_dump_json(indent=1) + "\n")


def acceptance(variant: str) -> Acceptance:
    """How the file of `variant` answered.

    Raises:
        ModelError: it was not tried.
    """
    return _read(paths.acceptance(variant), Acceptance)


def refusal(variant: str) -> Refusal | None:
    """Why `variant` has no model, or None where it has one.

    Raises:
        ModelError: the record is unreadable.
    """
    path = paths.refusal(variant)
    return _read(path, Refusal) if path.exists() else None


def check_baseline(variant: str) -> None:
    """Stop where the baseline is refused: everything is measured against it.

    Raises:
        VariantRefused: it is.
    """
    found = refusal(variant)
    if found:
        raise baseline_refused(variant, str(found))


def baseline_refused(variant: str, why: str) -> VariantRefused:
    """What to raise where the baseline is refused, `why` being whole sentences."""
    return VariantRefused(
        f"The baseline {variant} is refused, and nothing can be measured without one. {why} Or name another variant as "
        "baseline in params.yaml."
    )


def _read(path: Path, record: type[Found]) -> Found:
    try:
        return json_file.read_record(path, record)
    except FileNotFoundError:
        raise ModelError(f"No {path}. Run dvc repro.") from None
    except json_file.Unreadable as error:
        raise ModelError(f"{path} is not what the stage quantize writes ({error}). Run dvc repro.") from None
