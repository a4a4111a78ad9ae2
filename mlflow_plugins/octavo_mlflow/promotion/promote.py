"""`octavo promote`: the alias `champion` moves to a variant that the gate and the models in service let pass."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.evaluation.assembly import digest
from octavo.evaluation.scorecard import Scorecards, load_scorecards
from octavo.project import git_tags, paths
from octavo.project.errors import ModelError, PromotionRefused
from octavo.project.params import PARAMS, Params, load_params
from octavo.promotion import audit_record, gate
from octavo.promotion.audit_record import Move
from octavo.promotion.contradictions import joined
from octavo.promotion.decision import Decision, Verdict
from octavo.promotion.evidence import Grounds, faults, judge
from octavo_mlflow.mutex import mutex
from octavo_mlflow.promotion import challenger, request
from octavo_mlflow.promotion.request import Request
from octavo_mlflow.registry import aliases, audit_copy, identity, tags, versions
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION, PREVIOUS, State
from octavo_mlflow.tracking import connection

PATIENCE = 30.0
"""Seconds that another process may take to register before this one gives up."""


@dataclass(frozen=True)
class Wish:
    """What is to be promoted, and how."""

    variant: str | None = None
    """None for the best that passes; of those a version that was rolled back is none."""
    forced: str | None = None
    """Why it is promoted whatever its verdict is."""
    new_anchor: bool = False
    """Let it become the anchor, too."""
    expect: str | None = None
    """The version that has to be champion until then; `none` for none."""
    sure: Mapping[str, float] = field(default_factory=dict)
    """Of a night: variant -> confidence with which it must show that accuracy is kept, in the order in which they are
    tried. By hand nothing: `policy.confidence` is enough, and `policy.prefer` says which is the best."""


BEST = Wish()


@dataclass(frozen=True)
class Promotion:
    """What came of it."""

    model: str
    variant: str
    version: str
    previous: str | None
    """The champion before; None where there was none, or where nothing moved."""
    moved: bool
    verdict: Verdict | None
    request: Request | None = None
    """Where others have to approve it first: what they are asked for."""
    deleted: str | None = None
    """The champion before, where somebody deleted it: the new one was not compared with it."""

    def __str__(self) -> str:
        if self.request is not None:
            return f"{self.request}. Nothing has moved; another person does it by: octavo approve"
        champion = f"{CHAMPION}: {self.model} version {self.version} ({self.variant})"
        if not self.moved:
            return f"{champion} already"
        if self.deleted is not None:
            return f"{champion}; version {self.deleted}, champion before it, was deleted: it was not compared with that"
        return champion + (f", before it version {self.previous}" if self.previous else "")


@click.command()
@click.argument("variant", required=False)
@click.option("--force", is_flag=True, help="Move although the verdict says no; needs --reason, and is recorded.")
@click.option("--reason", help="Why, in your words.")
@click.option("--anchor", "new_anchor", is_flag=True, help="Let later challengers be held to this one as the anchor.")
@click.option("--expect", metavar="VERSION", help="Move only if that version is the champion now; 'none' for none.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(
    variant: str | None, force: bool, reason: str | None, new_anchor: bool, expect: str | None, as_json: bool
) -> None:
    """Move the alias champion to VARIANT, or to the best that passes; the one before it becomes previous."""
    if force != (reason is not None) or (force and variant is None) or (reason is not None and not reason.strip()):
        raise click.UsageError("To move against the verdict name all three: VARIANT --force --reason '…'.")
    params, scorecards = load_params(), load_scorecards(paths.SCORECARDS)
    with connection.connected(existing=True) as client:
        done = move_champion(client, params, scorecards, Wish(variant, reason, new_anchor, expect))
    shown = {"model": done.model, "variant": done.variant, "version": done.version, "previous": done.previous}
    asked = {"requested": done.request.shown} if done.request else {}
    click.echo(json.dumps({**shown, "moved": done.moved, **asked}) if as_json else str(done))
    if (done.moved or done.request) and not force and params.nightly.false_promotions is not None:
        click.echo(
            f"octavo: Judged by hand, for this once, with {100 * params.policy.confidence:g}% confidence; nights "
            "judge by the same test images again and again, and ask for more (nightly.false_promotions).",
            err=True,
        )


def move_champion(
    client: MlflowClient,
    params: Params,
    scorecards: Scorecards,
    wish: Wish = BEST,
) -> Promotion:
    """Promote what is wished for, if it passes beside the baseline, the champion and the anchor.

    Args:
        client: of the tracking store.
        params: of the project.
        scorecards: as registered.
        wish: by default the best variant that passes.

    Raises:
        PromotionRefused: no verdict is `pass`, or the champion is another than expected, or changed in between.
        ModelError: it is not registered as measured, or its registered bytes are others.
        AuditFailed: aliases or log were changed by other means; nothing has moved.
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
            audit_copy.update(now, basis.chain)  # which a process that was killed may have left behind
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
    raise PromotionRefused(_why([verdict for _, verdict in refused], params, scorecards, wish) + _anew(refused, now))


def _check_figures(found: Grounds) -> None:
    """Refuse figures that contradict each other, whatever is forced.

    Raises:
        ModelError: they do.
    """
    if wrong := list(faults(found)):
        raise ModelError(
            f"{found.variant} is not promoted: its figures contradict each other, {joined(wrong)}. Run dvc repro."
        )


def _basis(client: MlflowClient, model: str, wish: Wish) -> Checked:
    """Where the model stands, a move that was cut short being made, and what is wished for being possible there.

    Raises:
        PromotionRefused: the champion is another than expected, or the anchor was deleted and none is named.
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
            "nothing to hold later models to. Name a variant that becomes the anchor: octavo promote VARIANT --anchor."
        )
    return basis


def _requested(client: MlflowClient, planned: Move, grounds: str, wish: Wish) -> Promotion:
    """Ask others to approve the move, instead of making it."""
    model, champion = planned.model, planned.before.get(CHAMPION)
    with mutex.held(client, model, "promote", PATIENCE) as still_held:
        opened = request.ask(client, planned, grounds, still_held, wish.variant is not None)
    asked = opened.asked
    if asked.version == planned.version:  # whoever approves it has other files
        _tag(model, asked.version)
    return Promotion(model, asked.variant, asked.version, champion, False, None, opened)


def _tag(model: str, version: str) -> None:
    """Keep the project's state as a git tag; say so where git is there and that cannot be done."""
    if git_tags.tag(model, version) is None and git_tags.is_in_git():
        click.echo(
            f"octavo: No git tag octavo/{model}/{version} could be made (has git a commit here?): cleaning DVC's cache "
            "does not spare the files of this version.",
            err=True,
        )


def _check_expected(model: str, now: State, expect: str | None) -> None:
    """Refuse where another version is the champion; a move that was made since `now` is refused anyhow.

    Raises:
        PromotionRefused: it is.
    """
    found = now.champion or "none"
    if expect is not None and found != expect:
        raise PromotionRefused(f"Nothing is promoted: the champion of {model} is version {found}, not {expect}.")


def _candidates(
    client: MlflowClient, params: Params, scorecards: Scorecards, wish: Wish, chain: Sequence[Move]
) -> Iterator[ModelVersion]:
    """The version of the variant named, or of those that pass beside the baseline, best first.

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
    for name in _passing(scorecards, gate.decide(scorecards, params.policy, params.baseline, wish.sure), wish):
        version = challenger.version_of(client, params.registry.model, scorecards.card(name))
        if not aliases.was_rolled_back(version, chain):
            yield version


def _passing(scorecards: Scorecards, decision: Decision, wish: Wish) -> list[str]:
    """Variants that pass beside the baseline, the best first: by the night's order, which no test image has seen."""
    passing = gate.ranking(scorecards, decision)
    return [name for name in wish.sure if name in passing] if wish.sure else passing


def _is_champion(client: MlflowClient, version: ModelVersion, basis: Checked) -> bool:
    """Whether the champion, by its record, has the same bytes, be it another version with other figures."""
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


def _why(refused: list[Verdict], params: Params, scorecards: Scorecards, wish: Wish) -> str:
    """Why nothing moves, in words: of what was judged, else of all that did not come so far."""
    decision = gate.decide(scorecards, params.policy, params.baseline, wish.sure)
    passing = _passing(scorecards, decision, wish)
    left = refused or ([] if passing else decision.verdicts)
    lines = [f"{verdict.variant} is not promoted, {_found(verdict)}" for verdict in left]
    if not lines:
        lines = ["Nothing is promoted: what passes was rolled back before. Name a variant to have it again."]
    limits = f"The limits are `policy` in {PARAMS}; after a change run dvc repro."
    return " ".join(["\n".join(lines), f"Passing beside the baseline: {', '.join(passing) or 'none'}.", limits])


def _anew(refused: Sequence[tuple[Grounds, Verdict]], now: State) -> str:
    """What to do where models in service cannot be compared with; nothing where all could."""
    if not refused or not (left := {**refused[0][0].not_compared, **refused[0][0].damaged}):
        return ""
    best, _ = refused[0]
    why = "; ".join(f"{alias}: {reason}" for alias, reason in left.items())
    is_old = ANCHOR in left or now.aliases.get(ANCHOR) == now.champion
    return (
        f" Not compared, {why}. A model that was trained on test images looks better on them than it is. If the "
        f"figures beside the baseline are good, begin anew: octavo promote {best.variant} --force"
        f"{' --anchor' if is_old else ''} --reason '…'."
    )


def _found(verdict: Verdict) -> str:
    if verdict.refused:
        return f"it is refused: {verdict.refused}"
    if not verdict.unmet:
        return "it has no verdict, as the baseline never has."
    return f"the verdict is {verdict.verdict}: {'; '.join(map(str, verdict.unmet))}."
