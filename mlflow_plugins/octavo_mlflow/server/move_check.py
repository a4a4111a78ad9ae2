"""Judge a recorded move: by the server's policy, and by what the server itself knows."""

from collections.abc import Callable, Iterator

from octavo.project.errors import OctavoError
from octavo.project.params.policy import Policy
from octavo.promotion.audit_record import FOLDER, Move
from octavo_mlflow.registry.aliases import RECORD
from octavo_mlflow.registry.standing import CHAMPION, NUMBER
from octavo_mlflow.server import evidence, promotion_check, server_audit_log
from octavo_mlflow.server.guarded_models import Models
from octavo_mlflow.server.refusal import refusal

MayForce = Callable[[], bool]
"""Whether the sender may move the aliases of the requested model against the verdict."""


def judge(models: Models, move: Move, policy: Policy, may_force: MayForce, baseline: str | None) -> None:
    """Accept a move that the policy accepts, that returns to a former champion, or that an authorized user forces.

    Args:
        models: in the server's registry.
        move: the record.
        policy: the server's policy.
        may_force: whether the sender may move aliases against the verdict.
        baseline: the variant that promotions must be compared with; None if the server's file does not name it.

    Raises:
        MlflowException: the move is refused.
    """
    try:
        text = server_audit_log.grounds(models.state(move.model), move) if move.action == "promote" else ""
        against, false = _objections(models, move, text, policy), list(_false(models, move, text, baseline))
    except OctavoError as error:
        against, false = [str(error).rstrip(".")], []
    if false:
        raise refusal(
            f"Version {move.version} ({move.variant}) does not become {CHAMPION} of {move.model}, and nobody can "
            f"force it, because its record is not true: {'; '.join(false)}."
        )
    forced = move.note is not None or move.action != "promote"
    if not against or (forced and may_force()):
        return
    allowed = " Those who manage the model may force it." if forced else ""
    raise refusal(
        f"Version {move.version} ({move.variant}) does not become {CHAMPION} of {move.model}, "
        f"by this server's policy: {'; '.join(against)}.{allowed}"
    )


def _objections(models: Models, move: Move, text: str, policy: Policy) -> list[str]:
    """Reasons against a move. `text` is the grounds of a promotion."""
    if move.action == "repair":
        return ["a repair is for those who manage the model"]
    tags = dict(models.store.get_model_version(move.model, move.version).tags)
    if move.action == "promote":
        return list(promotion_check.objections(move, text, tags, policy))
    now = models.state(move.model)
    sequence, _, hash_ = tags.get(RECORD, "").partition(" ")
    before = models.record(now, int(sequence), hash_) if NUMBER.fullmatch(sequence) else None
    # Anybody may store a record beside those of the log.
    if before is None or before.action == "repair" or before not in models.chain(now):
        return ["it was never champion"]
    if before.version != move.version or before.digests.get("model") != move.digests.get("model"):
        return ["it was champion with other bytes"]
    if FOLDER in before.digests and before.digests[FOLDER] != move.digests.get(FOLDER):
        return ["it was champion with other files beside its model"]
    return []


def _false(models: Models, move: Move, text: str, baseline: str | None) -> Iterator[str]:
    """Statements of the record that are not true. Neither the policy nor `--force` can accept them."""
    if move.action == "promote":
        yield from evidence.against_promotion(models.store, move, text, baseline)
    if move.action == "rollback":
        yield from evidence.against_files(models.store, move)
