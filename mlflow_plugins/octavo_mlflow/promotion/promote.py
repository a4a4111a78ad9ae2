"""`octavo promote`: move the alias `champion` to a variant that passes the gate and is no worse than the models in
service.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.evaluation.assembly import digest
from octavo.evaluation.scorecard import Scorecards, load_scorecards
from octavo.project import paths, story
from octavo.project.errors import ModelError, PromotionRefused
from octavo.project.git import tags as git_tags
from octavo.project.params.params import Params, load_params
from octavo.promotion import audit_record, gate, passing
from octavo.promotion.audit_record import Move
from octavo.promotion.contradictions import joined
from octavo.promotion.decision import Verdict
from octavo.promotion.evidence import Grounds, faults, judge
from octavo_mlflow.promotion import challenger, request
from octavo_mlflow.promotion.request import Request
from octavo_mlflow.registry import aliases, identity, tags, versions
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.audit_log import audit_copy
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, PREVIOUS, State
from octavo_mlflow.tracking import connection

PATIENCE = 30.0
"""Seconds to wait for another process that is registering."""


@dataclass(frozen=True)
class Wish:
    """What to promote, and how."""

    variant: str | None = None
    """None for the best one that passes and was not rolled back before."""
    forced: str | None = None
    """The reason for a promotion against the verdict; None to respect the verdict."""
    new_anchor: bool = False
    """Whether the version also becomes the anchor."""
    expect: str | None = None
    """The version that must be champion now; `none` if there must be no champion."""
    sure: Mapping[str, float] = field(default_factory=dict)
    """Used by `octavo nightly`: the confidence with which each variant must show that accuracy is kept. The order is
    that in which the variants are tried. Empty for a promotion by hand: then `policy.confidence` applies, and
    `policy.prefer` says which variant is best.
    """


BEST = Wish()


@dataclass(frozen=True)
class Promotion:
    """The result of a promotion."""

    model: str
    variant: str
    version: str
    previous: str | None
    """The previous champion; None if there was none, or if nothing moved."""
    moved: bool
    verdict: Verdict | None
    request: Request | None = None
    """The open request, if the promotion needs approvals."""
    deleted: str | None = None
    """The champion before, if somebody deleted it: the new one was not compared with it."""

    def __str__(self) -> str:
        if self.request is not None:
            return f"{self.request}. Nothing has moved. For another person to approve it: octavo approve"
        champion = f"{CHAMPION}: {self.model} version {self.version} ({self.variant})"
        if not self.moved:
            return f"{champion} already"
        if self.deleted is not None:
            return f"{champion}; version {self.deleted}, champion before it, was deleted: it was not compared with that"
        return champion + (f", before it version {self.previous}" if self.previous else "")


def promote(
    variant: str | None, force: bool, reason: str | None, new_anchor: bool, expect: str | None, as_json: bool
) -> None:
    """Do what `octavo promote` asks for, and print it.

    Args:
        variant: to promote; None for the best one that passes.
        force: promote against the verdict.
        reason: in the user's words; it is recorded.
        new_anchor: make the version the anchor too.
        expect: move only if this version is the champion now; `none` for none, None for any.
        as_json: print JSON instead of text.

    Raises:
        PromotionRefused, ModelError, AuditFailed: as `move_champion`.
    """
    params, scorecards = load_params(), load_scorecards(paths.SCORECARDS)
    with connection.connected(existing=True) as client, story.counter("promote"):
        done = move_champion(client, params, scorecards, Wish(variant, reason, new_anchor, expect))
    shown = {"model": done.model, "variant": done.variant, "version": done.version, "previous": done.previous}
    asked = {"requested": done.request.shown} if done.request else {}
    click.echo(json.dumps({**shown, "moved": done.moved, **asked}) if as_json else str(done))
    if (done.moved or done.request) and not force and params.nightly.false_promotions is not None:
        click.echo(
            f"octavo: Judged once, by hand, with {100 * params.policy.confidence:g}% confidence. Nights use the same "
            "test images again and again, and therefore ask for more (nightly.false_promotions).",
            err=True,
        )


def move_champion(
    client: MlflowClient,
    params: Params,
    scorecards: Scorecards,
    wish: Wish = BEST,
) -> Promotion:
    """Promote a variant if it passes the comparison with the baseline, the champion and the anchor.

    Args:
        client: of the tracking store.
        params: of the project.
        scorecards: as registered.
        wish: what to promote; by default the best variant that passes.

    Raises:
        PromotionRefused: no verdict is `pass`, or the champion is not the expected one, or it changed meanwhile.
        ModelError: the variant is not registered as measured, or its registered bytes differ.
        AuditFailed: another program changed the aliases or the log. Nothing has moved.
    """
    model = params.registry.model
    needed = identity.needed(identity.ask(), params.policy)
    if wish.variant is not None:
        scorecards.card(wish.variant)
    basis = _basis(client, model, wish)
    now = basis.now
    refused: list[tuple[Grounds, Verdict]] = []
    for version in _candidates(client, params, scorecards, wish, basis.chain):
        if _is_champion(client, version, basis) and not wish.new_anchor:
            audit_copy.update(now, basis.chain)  # a killed process may not have updated it
            return Promotion(model, versions.variant(version), str(now.champion), None, False, None)
        found = challenger.grounds(client, version, scorecards, params, now, basis.chain)
        found = found.model_copy(update={"sure": wish.sure.get(found.variant)})
        _check_figures(found)
        verdict = judge(found)
        if verdict.verdict == "pass" or wish.forced is not None:
            planned = _plan(version, found, verdict, basis, wish, versions.checked_digest(client, version))
            if needed:
                return _requested(client, planned, _text(found), wish)
            with mutex.held(client, model, "promote", PATIENCE) as still_held:
                aliases.move(client, planned, _text(found), still_held)
            _tag(model, planned.version)
            deleted = basis.gone.get(CHAMPION)
            return Promotion(model, found.variant, planned.version, now.champion, True, verdict, None, deleted)
        refused.append((found, verdict))
    decision = gate.decide(scorecards, params.policy, params.baseline, wish.sure)
    judged = [verdict for _, verdict in refused]
    raise PromotionRefused(passing.why_not(judged, scorecards, decision, wish.sure) + _anew(refused, now))


def _check_figures(found: Grounds) -> None:
    """Refuse figures that contradict each other. `--force` does not change this.

    Raises:
        ModelError: they contradict each other.
    """
    if wrong := list(faults(found)):
        raise ModelError(
            f"{found.variant} is not promoted: its figures contradict each other, {joined(wrong)}. Run dvc repro."
        )


def _basis(client: MlflowClient, model: str, wish: Wish) -> Checked:
    """The model's state after an interrupted move was applied. Refuses a wish that is impossible there.

    Raises:
        PromotionRefused: the champion is not the expected one, or the anchor was deleted and no new one is named.
        AuditFailed: as `aliases.settle`.
    """
    basis = aliases.checked(client, model)
    if basis.now.unfinished:
        with mutex.held(client, model, "promote", PATIENCE) as still_held:
            basis = aliases.settle(client, model, still_held)
    _check_expected(model, basis.now, wish.expect)
    if ANCHOR in basis.gone and not wish.new_anchor:
        raise PromotionRefused(
            f"Nothing is promoted: the anchor of {model}, version {basis.gone[ANCHOR]}, was deleted, and there is "
            "nothing to compare later models with. Name a new anchor: octavo promote VARIANT --anchor."
        )
    return basis


def _requested(client: MlflowClient, planned: Move, grounds: str, wish: Wish) -> Promotion:
    """Request approval of the move instead of applying it."""
    model, champion = planned.model, planned.before.get(CHAMPION)
    with mutex.held(client, model, "promote", PATIENCE) as still_held:
        opened = request.ask(client, planned, grounds, still_held, wish.variant is not None)
    asked = opened.asked
    if asked.version == planned.version:  # the files of this version are here, not with the approver
        _tag(model, asked.version)
    return Promotion(model, asked.variant, asked.version, champion, False, None, opened)


def _tag(model: str, version: str) -> None:
    """Mark the project's state with a git tag; print a note if git is in use and the tag fails."""
    if git_tags.tag(model, version) is None and git_tags.is_in_git():
        click.echo(
            f"octavo: Could not make the git tag octavo/{model}/{version} (does git have a commit here?). A cleanup of "
            "DVC's cache will also delete the files of this version.",
            err=True,
        )


def _check_expected(model: str, now: State, expect: str | None) -> None:
    """Refuse if the champion is not the expected version. A move after `now` was read is refused later in any case.

    Raises:
        PromotionRefused: it is another version.
    """
    found = now.champion or "none"
    if expect is not None and found != expect:
        raise PromotionRefused(f"Nothing is promoted: the champion of {model} is version {found}, not {expect}.")


def _candidates(
    client: MlflowClient, params: Params, scorecards: Scorecards, wish: Wish, chain: Sequence[Move]
) -> Iterator[ModelVersion]:
    """The version of the named variant, or the versions that pass beside the baseline, best first.

    Args:
        client: of the tracking store.
        params: of the project.
        scorecards: as registered.
        wish: what is to be promoted.
        chain: the audit log, which says what was rolled back.
    """
    if wish.variant is not None:
        yield challenger.version_of(client, params.registry.model, scorecards.card(wish.variant))
        return
    decision = gate.decide(scorecards, params.policy, params.baseline, wish.sure)
    for name in passing.in_order(scorecards, decision, wish.sure):
        version = challenger.version_of(client, params.registry.model, scorecards.card(name))
        if not aliases.was_rolled_back(version, chain):
            yield version


def _is_champion(client: MlflowClient, version: ModelVersion, basis: Checked) -> bool:
    """Whether the champion has the same bytes according to its record, even if it is a version with other figures."""
    number = basis.now.champion
    if number is None:
        return False
    if move := audit_record.champions(basis.chain).get(number):
        return move.digests["model"] == versions.model_file(version).sha256
    champion = client.get_model_version(version.name, number)
    return versions.model_file(champion).sha256 == versions.model_file(version).sha256


def _plan(version: ModelVersion, found: Grounds, verdict: Verdict, basis: Checked, wish: Wish, folder: str) -> Move:
    now = basis.now
    number, card = str(version.version), found.scorecards.card(found.variant)
    after = {**now.aliases, CHAMPION: number}
    if now.champion not in (None, number):
        after[PREVIOUS] = now.champion
    if wish.new_anchor or ANCHOR not in now.aliases:
        after[ANCHOR] = number
    return Move(
        **basis.next,
        action="promote",
        model=version.name,
        variant=found.variant,
        version=number,
        after=after,
        reasons=verdict.reasons,
        note=wish.forced,
        digests={
            "model": card.model.sha256,
            audit_record.FOLDER: folder,
            "data": card.lineage.data,
            "params": card.lineage.params,
            "scorecard": tags.digest(card),
            "policy": digest(found.policy.model_dump(mode="json")),
            "grounds": hashlib.sha256(_text(found).encode()).hexdigest(),
        },
    )


def _text(found: Grounds) -> str:
    return found.model_dump_json(by_alias=True, indent=1)


def _anew(refused: Sequence[tuple[Grounds, Verdict]], now: State) -> str:
    """What to do if a model in service cannot be compared with; empty if all can."""
    if not refused or not (left := {**refused[0][0].not_compared, **refused[0][0].damaged}):
        return ""
    best, _ = refused[0]
    why = "; ".join(f"{alias}: {reason}" for alias, reason in left.items())
    is_old = ANCHOR in left or now.aliases.get(ANCHOR) == now.champion
    return (
        f" Not compared, {why}. A model that was trained on test images looks better on them than it is. If the "
        f"figures beside the baseline are good, start again: octavo promote {best.variant} --force"
        f"{' --anchor' if is_old else ''} --reason '…'."
    )
