"""Collect the grounds of a verdict: run the registered bytes of a variant and compare them with the models in
service.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.backends import predictor, registry
from octavo.backends.registry import open_model
from octavo.data import unseen
from octavo.data.sources.raw import sha256
from octavo.data.splits import Split, digest_of, load_manifest, load_split
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.errors import DataError, ModelError
from octavo.project.files import npy_file
from octavo.project.params.params import PARAMS, Params
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo.promotion.evidence import Grounds
from octavo.tasks import classification
from octavo.tasks.logits import CLASSIFICATION, check
from octavo_mlflow.promotion import served_data
from octavo_mlflow.registry import tags, versions
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, State


def version_of(client: MlflowClient, model: str, card: Scorecard) -> ModelVersion:
    """The version that shows exactly this scorecard.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        card: the scorecard.

    Raises:
        ModelError: there is none.
    """
    found = client.search_model_versions(f"name = '{model}' and tag.`{tags.DIGEST}` = '{tags.digest(card)}'")
    if not found:
        raise ModelError(f"MLflow has no version of {model} for {card.variant} as measured. Run dvc repro.")
    return max(found, key=lambda version: int(version.version))


def grounds(
    client: MlflowClient,
    version: ModelVersion,
    scorecards: Scorecards,
    params: Params,
    now: State,
    chain: Sequence[Move],
) -> Grounds:
    """Everything that a verdict on `version` follows from.

    Args:
        client: of the tracking store.
        version: the challenger.
        scorecards: as registered.
        params: of the project.
        now: the registered model's present state.
        chain: its audit log.

    Raises:
        ModelError: MLflow's bytes are not those that were measured, or a model in service does not return finite logits
            for today's images.
        DataError: the test split or its manifest is missing, or is not what the variants were measured on.
        AuditFailed: the audit log, which says what data the models in service were made of, was changed.
    """
    variant = versions.variant(version)
    test = _test_split(scorecards, variant)
    logits = _logits(client, version, test)
    evaluated = _evaluated(variant)
    check(evaluated, str(paths.logits(variant)))
    classes = list(scorecards.card(variant).quality.vs_baseline.per_class)
    others = dict(_others(version, now))
    not_compared = _may_have_seen_the_test_split(client, now, chain) if others else {}
    beside, damaged = {}, {}
    for alias, number in others.items():
        if alias not in not_compared:
            try:
                other = _logits(client, _as_recorded(client.get_model_version(version.name, number), chain), test)
                beside[alias] = classification.pair(test.labels, logits, other, classes)
            except versions.Damaged as error:
                damaged[alias] = error.clause("Run dvc repro.")
    return Grounds(
        variant=variant,
        baseline=params.baseline,
        policy=params.policy,
        scorecards=scorecards,
        same_answers=float(CLASSIFICATION.same(logits, evaluated).mean()),
        beside=beside,
        not_compared={alias: why for alias, why in not_compared.items() if alias in others},
        damaged=damaged,
    )


def _test_split(scorecards: Scorecards, variant: str) -> Split:
    """Load the test split, checked against its manifest, and the manifest against the data of the scorecards.

    Raises:
        DataError: one of them changed after the measurement.
    """
    manifest, test = load_manifest(paths.MANIFEST), load_split(paths.split("test"))
    record = manifest.splits["test"]
    held = {
        f"{paths.MANIFEST}": (manifest.digest, scorecards.data.get("digest")),
        f"the digest in {paths.MANIFEST}": (digest_of(manifest.splits), manifest.digest),
        "the test images": (sha256(test.images), record.images_sha256),
        "the test labels": (sha256(test.labels), record.labels_sha256),
        "the class names": (manifest.classes, list(scorecards.card(variant).quality.vs_baseline.per_class)),
    }
    if changed := [name for name, (found, wanted) in held.items() if found != wanted]:
        raise DataError(
            f"Nothing is compared: {' and '.join(changed)} changed since the variants were measured. Run dvc repro."
        )
    return test


def _evaluated(variant: str) -> np.ndarray:
    path = paths.logits(variant)
    try:
        return npy_file.read(path)
    except (FileNotFoundError, npy_file.UnreadableArray) as error:
        raise ModelError(f"Cannot read {path} ({error}). Run dvc repro.") from None


def _others(version: ModelVersion, now: State) -> Iterator[tuple[str, str]]:
    """Alias and number of the champion and the anchor, if they are other versions."""
    seen = {str(version.version)}
    for alias in (CHAMPION, ANCHOR):
        number = now.aliases.get(alias)
        if number is not None and number not in seen:
            seen.add(number)
            yield alias, number


def _as_recorded(version: ModelVersion, chain: Sequence[Move]) -> ModelVersion:
    """A model in service, checked against the record that made it champion, because anybody can change its tags.

    Raises:
        Damaged: its tag names other bytes.
    """
    move = audit_record.champions(chain).get(str(version.version))
    if move is not None and versions.model_file(version).sha256 != move.digests["model"]:
        raise versions.Damaged(
            f"the digest of version {version.version} is not that of record {move.sequence}, which made it champion"
        )
    return version


def _may_have_seen_the_test_split(client: MlflowClient, now: State, chain: Sequence[Move]) -> dict[str, str]:
    """The aliases in service whose model may have been trained on today's test images, and why."""
    today = load_manifest(paths.MANIFEST)
    found = {alias: unseen.why_not(today, then) for alias, then in served_data.manifests(client, now, chain).items()}
    return {alias: why for alias, why in found.items() if why}


def _logits(client: MlflowClient, version: ModelVersion, test: Split) -> np.ndarray:
    with versions.fetched(client, version) as path:
        try:
            logits = predictor.logits(open_model(path), test.images, f"Version {version.version} of {version.name}")
        except registry.backend_of(path).failures:
            logits = np.zeros((0, 0), np.float32)
    if len(logits) != len(test.labels):
        raise ModelError(
            f"Version {version.version} of {version.name} cannot answer today's test images of shape "
            f"{test.images.shape[1:]}. If the data are another kind now, give them a registry.model of their own in "
            f"{PARAMS}."
        )
    return logits
