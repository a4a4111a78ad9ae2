"""Check a promotion against the server's own evidence: the bytes in its store, compared with the record.

The promoter sends the scorecards. The server cannot measure accuracy or latency. It checks sizes, digests, and which
file the baseline is.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.backends import model_files
from octavo.evaluation.scorecard import Scorecard
from octavo.project.errors import OctavoError
from octavo.project.files import json_file
from octavo.project.params.variants import VARIANT_NAME
from octavo.promotion.audit_record import FOLDER, Move
from octavo.promotion.contradictions import joined
from octavo.promotion.evidence import Grounds, faults
from octavo_mlflow.registry import tags, versions
from octavo_mlflow.server import artifact_files


def against_promotion(store: AbstractStore, move: Move, text: str, baseline: str | None) -> Iterator[str]:
    """What the record of a promotion says wrongly, one clause each. `--force` cannot override these.

    Args:
        store: the server's registry.
        move: the record.
        text: the recorded grounds, JSON of `Grounds`.
        baseline: the variant that it must be compared with; None if the server's file does not name it.
    """
    if hashlib.sha256(text.encode()).hexdigest() != move.digests.get("grounds"):
        yield "what it was judged by is not what the record names"
        return
    try:
        grounds = json_file.parse_record(text, Grounds)
        card, reference = grounds.scorecards.card(grounds.variant), grounds.scorecards.card(grounds.baseline)
        if wrong := list(faults(grounds)):
            yield f"its figures contradict each other: {joined(wrong)}"
            return
    except (json_file.Unreadable, OctavoError) as error:
        yield f"what it was judged by cannot be read by this release of Octavo ({str(error).rstrip('.')})"
        return
    if baseline is not None and grounds.baseline != baseline:
        yield f"it was compared with {grounds.baseline}, and this server's baseline is {baseline}"
    yield from against_files(store, move, card)
    yield from _against_baseline(store, move.model, reference)


def against_files(store: AbstractStore, move: Move, card: Scorecard | None = None) -> Iterator[str]:
    """Where the version's files in MLflow differ from a new record and its scorecard.

    Args:
        store: the server's registry.
        move: the record.
        card: the scorecard of the version, or None.
    """
    if FOLDER not in move.digests:
        yield "its record has no digest of all files of the model, as this release of Octavo writes it"
        return
    yield from against_champion(store, move, card)


def against_champion(store: AbstractStore, move: Move, card: Scorecard | None = None) -> Iterator[str]:
    """As `against_files`, for a record that counts already. Those of earlier releases hold only the model file's
    digest.

    Args:
        store: the server's registry.
        move: the record.
        card: the scorecard of the version, or None.
    """
    version = store.get_model_version(move.model, move.version)
    yield from _in_files(store, version, move.digests.get("model", ""), move.digests.get(FOLDER), card)


def _against_baseline(store: AbstractStore, model: str, card: Scorecard) -> Iterator[str]:
    """Whether the baseline of the comparison is registered as measured, and MLflow holds exactly that file."""
    query = f"name = '{model}' and tag.`{tags.DIGEST}` = '{tags.digest(card)}'"
    found = list(store.search_model_versions(query, max_results=1))
    if not found:
        yield f"its baseline, {card.variant} as measured, is not registered: run dvc repro"
        return
    yield from (f"of its baseline {fault}" for fault in _in_files(store, found[0], card.model.sha256, None, card))


def _in_files(
    store: AbstractStore, version: ModelVersion, sha256: str, folder: str | None, card: Scorecard | None
) -> Iterator[str]:
    variant = version.tags.get(tags.VARIANT, "")
    if not VARIANT_NAME.fullmatch(variant):
        yield f"version {version.version} is of no variant that Octavo makes"
        return
    try:
        versions.model_id(version)
        with artifact_files.copied(store.get_model_version_download_uri(version.name, version.version)) as place:
            path = place / versions.place(versions.model_file(version))
            yield from _in_bytes(path, sha256, card)
            if folder is not None and {versions.digest_of(place)} != {folder, version.tags.get(tags.FOLDER, folder)}:
                beside = f"files beside the model of version {version.version}"
                yield f"{beside} are not those that the record names, or that were registered"
    except (OctavoError, MlflowException, OSError) as error:
        yield f"the files of version {version.version} cannot be read ({str(error).rstrip('.')})"


def _in_bytes(path: Path, sha256: str, card: Scorecard | None) -> Iterator[str]:
    found = model_files.sha256(path)
    if found != sha256 or (card is not None and found != card.model.sha256):
        yield f"the model file that MLflow holds has the sha256 {found[:12]}…, and {sha256[:12]}… was judged"
    if card is not None and model_files.size(path) != card.size.file_bytes:
        yield f"the model file has {model_files.size(path):,} bytes, by its scorecard {card.size.file_bytes:,}"
