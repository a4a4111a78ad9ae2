"""The night itself: refresh the data, check them, build, register, judge, promote, clean up, and record each step.

Every step can be repeated. If an earlier night was interrupted, this one finishes its work. `octavo nightly` runs this
module as a process of its own and watches it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from octavo.data import drift, newcomers
from octavo.data.splits import Manifest, load_manifest
from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.errors import DataError, OctavoError, PromotionRefused, ServiceUnavailable, boundary
from octavo.project.params.params import Params, load_params
from octavo.promotion import lifetime
from octavo_mlflow.nightly import housekeeping, mlflow_runs, record
from octavo_mlflow.nightly.data_refresh import refresh
from octavo_mlflow.nightly.dvc import StageFailed, repro
from octavo_mlflow.nightly.record import Night, NightStep
from octavo_mlflow.promotion import promote, served_data
from octavo_mlflow.registry import aliases
from octavo_mlflow.registry.standing import state
from octavo_mlflow.tracking import connection

AGAIN = "The schedule repeats the night for as many hours as nightly.retry says. You need not do anything."
ALWAYS = {"code", "register"}
"""Stages that run every night, even if nothing is new."""
UNJUDGED = ("failed", "killed")
"""Outcomes of nights that may have built models that no night has judged yet."""


class DataRefused(OctavoError):
    """The data are broken, or differ in kind from the champion's data."""

    exit_code = 2


class Diary:
    """The record of the night in progress, saved after every step."""

    def __init__(self, begun: Night) -> None:
        self.night = begun

    def note(self, **fields: Any) -> None:
        self.night = self.night.model_copy(update=fields)
        record.save(self.night)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record the step while it runs, and its duration afterwards."""
        print(f"night {self.night.name}: {name}", file=sys.stderr)
        self.note(step=name)
        start = time.monotonic()
        yield
        took = NightStep(name=name, seconds=round(time.monotonic() - start, 2))
        self.note(steps=(*self.night.steps, took), step=None)


def main() -> None:
    begun = record.running()
    assert begun, "octavo nightly starts this process, and a record"
    _end_with_the_parent()
    with boundary():
        diary = Diary(begun)
        try:
            ended = _through(diary, load_params())
        except DataRefused as error:
            ended = diary.night.end("refused", str(error))
        except OctavoError as error:
            again = [AGAIN] if error.exit_code == ServiceUnavailable.exit_code else []
            ended = diary.night.end("failed", str(error), *again, exit_code=error.exit_code)
        diary.night = ended
        with suppress(ServiceUnavailable):  # a later night will show this one too
            mlflow_runs.show(ended, load_params())
        record.save(ended)


def _through(diary: Diary, params: Params) -> Night:
    """Run all steps in order, and return the record of the night."""
    log = diary.night.log
    log.parent.mkdir(parents=True, exist_ok=True)
    with diary.step("refresh"):
        refresh(params, log)
    with diary.step("prepare"):
        prepared = _prepare(diary, log)
    with diary.step("drift"):
        _refuse_drift(params, diary.night)
    with diary.step("build"):
        _build(diary, prepared)
    with diary.step("promote"):
        ended = _promote(diary, params)
    with diary.step("housekeeping"):
        removed = housekeeping.tidy(params, log)
    return ended.model_copy(update={"steps": diary.night.steps, "step": None, "removed": removed})


def _build(diary: Diary, prepared: list[str]) -> None:
    """Bring everything up to date, and record the stages that ran."""
    ran: list[str] = []
    try:
        ran = repro(diary.night.log)
    except StageFailed as error:
        ran = error.stages
        raise
    finally:
        diary.note(stages=tuple(dict.fromkeys([*prepared, *ran])))


def _prepare(diary: Diary, log: Path) -> list[str]:
    """Split the data again if they changed, and record the change."""
    before, known = _data(), newcomers.pixels_of(paths.DATA)
    try:
        stages = repro(log, "prepare")
    except StageFailed as error:
        diary.note(stages=tuple(dict.fromkeys(error.stages)))
        if error.exit_code == 3 or error.stages[-1:] != ["prepare"]:
            raise
        raise DataRefused(f"The data are broken: {error}") from None
    new = newcomers.since(known, paths.DATA)
    diary.note(stages=tuple(stages), data={"before": before, "now": _data(), "new": new and new.model_dump()})
    return stages


def _data() -> dict[str, Any] | None:
    with suppress(DataError):
        manifest = load_manifest(paths.MANIFEST)
        return {"digest": manifest.digest, "images": {name: split.n for name, split in manifest.splits.items()}}
    return None


def _refuse_drift(params: Params, tonight: Night) -> None:
    """Compare the data with the champion's and the anchor's, because a slow change is too small to show from night to
    night.

    Raises:
        DataRefused: the data have drifted.
    """
    served, now = _served_data(params), load_manifest(paths.MANIFEST)
    share = params.nightly.drift.false_alarms / max(1, len(served))
    limits = params.nightly.drift.model_copy(update={"false_alarms": share})
    found = [finding for then in served for finding in drift.compare(now, then, limits)]
    if drifted := [finding.sentence for finding in found if finding.refuses]:
        raise DataRefused(
            f"The data have drifted: {' '.join([*drifted, *_newcomers(tonight)])} If they are right, build and promote "
            "by hand: dvc repro, then octavo promote."
        )


def _newcomers(tonight: Night) -> list[str]:
    """The images that came with tonight's data, tonight or in an earlier night with the same data."""
    for each in (tonight, *record.ended()):
        if each.data.get("now") != tonight.data["now"]:
            break
        if new := each.data.get("new"):
            return [str(newcomers.Newcomers.model_validate(new))]
    return []


def _served_data(params: Params) -> list[Manifest]:
    """Manifests of the data that the champion and the anchor were made of; empty if there is no champion yet."""
    model = params.registry.model
    with connection.connected() as client:
        if not _is_registered(client, model):
            return []
        standing = aliases.checked(client, model)
        found = served_data.manifests(client, standing.now, standing.chain)
    return list({manifest.digest: manifest for manifest in found.values() if manifest}.values())


def _is_registered(client: MlflowClient, model: str) -> bool:
    return bool(client.search_registered_models(f"name = '{model}'", max_results=1))


def _promote(diary: Diary, params: Params) -> Night:
    model = params.registry.model
    is_new = _is_new(diary.night)
    scorecards = load_scorecards(paths.SCORECARDS)
    sure = lifetime.confidences(scorecards, params)
    asked = [lifetime.said(sure, params)] if sure else []
    with connection.connected() as client:
        before = state(client, model).champion
        try:
            done = promote.move_champion(client, params, scorecards, promote.Wish(sure=sure))
        except PromotionRefused as error:
            ended = diary.night.end("kept" if is_new else "unchanged", str(error), *asked)
            return ended.model_copy(update={"champion": {"before": before, "now": before}})
    champion = {"before": before, "now": before if done.request else done.version}
    if done.request:
        ended = diary.night.end("requested", f"{done}.", *asked)
    elif done.moved:
        ended = diary.night.end("promoted", str(done), *asked)
    elif is_new:
        ended = diary.night.end("kept", f"{done}: what was built is the same model, byte for byte.")
    else:
        ended = diary.night.end(
            "unchanged", "Neither data nor code changed: nothing was trained, and no version added."
        )
    return ended.model_copy(update={"champion": champion})


def _is_new(tonight: Night) -> bool:
    """Whether anything was built since the last night that came to a judgement: tonight, or by a night that then failed
    or was killed.
    """
    for night in (tonight, *record.ended()):
        if night is not tonight and night.outcome not in UNJUDGED:
            return False
        if set(night.stages) - ALWAYS or night.data.get("before") != night.data.get("now"):
            return True
    return False


def _end_with_the_parent() -> None:
    """End this process and its group when `octavo nightly` ends: our standard input closes then."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
