"""Random calls of MLflow's client on a guarded server, by a reader, an editor and the manager of a promoted model.

Methods and arguments are drawn from small pools, odd ones among them: numbers that MLflow reads as another's, names
that look like a reserved alias, records that are forged well. After each call the database and the artifacts are looked
at, behind the server, as after the requests of `routes`.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from benchmarks.attacks.guarded import ROLES, Shared, running, share
from benchmarks.attacks.part import Part
from benchmarks.attacks.routes import OUTCOMES, Attack, server_faults
from octavo.promotion import audit_record
from octavo_mlflow.registry import standing
from octavo_mlflow.registry.audit_log import audit_log, audit_run
from octavo_mlflow.registry.standing import HEAD
from octavo_mlflow.tracking import connection

LONGEST = 300
"""Characters of a message that are kept."""

Call = Callable[[MlflowClient, "Pools"], object]


def run(most: int, seed: int) -> Part:
    """Make that many calls."""
    with running() as server:
        os.environ |= connection.MANNERS | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        attack = Attack(share(server, 0), random.Random(seed))  # noqa: S311 # to be repeated
        pools, made, refused = Pools(attack), Counter[str](), Counter[str]()
        client = MlflowClient(server.team.address)
        for _ in range(most):
            role, name = pools.pick(ROLES[1:]), pools.pick([*CALLS])
            attack.shared.be(role)
            attack.asked[role] += 1
            try:
                said = f"gave {CALLS[name](client, pools)!r}"
                made[name] += 1
            except (MlflowException, RequestException, ValueError, TypeError) as error:
                said = str(error)
                refused[name] += 1
            attack.look(role, name, f"{pools.drawn}, which {said[:LONGEST]}")
            pools.drawn.clear()
        faults = [*attack.faults, *server_faults(server)]
    rows = [
        {"role": role, "calls": attack.asked[role], **{name: attack.came[role, name] for name in OUTCOMES}}
        for role in ROLES[1:]
    ]
    facts = {"calls": most, "seed": seed, "bypasses": len(attack.faults), "methods": len(CALLS)}
    facts |= {"answered": made.total(), "refused by the server": refused.total(), "audits": len(attack.audited)}
    return Part("Random calls on a guarded server", rows, faults, facts | {"seen by the audit": attack.seen})


class Pools:
    """What arguments are drawn from, and what was drawn for the call that is under way."""

    def __init__(self, attack: Attack) -> None:
        self.attack, self.chance = attack, attack.chance
        self.drawn: list[Any] = []

    def pick(self, pool: Any) -> Any:
        """One of them."""
        return self.chance.choice(pool)

    def draw(self, name: str) -> Any:
        """A value for that argument."""
        found = self.attack.fields()[name]
        self.drawn.append(found)
        return found

    @property
    def shared(self) -> Shared:
        return self.attack.shared


def _forged(client: MlflowClient, pools: Pools) -> None:
    """A record that follows from where the aliases stand, and moves the champion to version 1 or 4; then its name."""
    model = pools.shared.model
    now = standing.state(client, model)
    last = audit_log.last(client, now)
    to = pools.pick(["1", "4"])
    change = {
        "sequence": last.sequence + 1,
        "parent": last.hash,
        "before": now.aliases,
        "after": {**now.aliases, "previous": now.aliases["champion"], "champion": to},
        "version": to,
        "note": pools.pick([None, "forged"]),
        "action": pools.pick(["promote", "rollback", "repair"]),
    }
    move = audit_record.Move.model_validate(last.model_dump() | change)
    pools.drawn.append(f"a forged {move.action} to version {to}, note {move.note}")
    client.log_text(pools.shared.log, move.line(), audit_run.place("records", move))
    client.set_registered_model_tag(model, HEAD, move.name)
    client.set_registered_model_alias(model, "champion", to)


CALLS: dict[str, Call] = {
    "set_registered_model_alias": lambda client, pools: client.set_registered_model_alias(
        pools.draw("name"), pools.draw("alias"), pools.draw("version")
    ),
    "delete_registered_model_alias": lambda client, pools: client.delete_registered_model_alias(
        pools.draw("name"), pools.draw("alias")
    ),
    "set_registered_model_tag": lambda client, pools: client.set_registered_model_tag(
        pools.draw("name"), pools.draw("key"), pools.draw("value")
    ),
    "delete_registered_model_tag": lambda client, pools: client.delete_registered_model_tag(
        pools.draw("name"), pools.draw("key")
    ),
    "rename_registered_model": lambda client, pools: client.rename_registered_model(
        pools.draw("name"), pools.draw("new_name")
    ),
    "update_registered_model": lambda client, pools: client.update_registered_model(pools.draw("name"), "perfect"),
    "delete_registered_model": lambda client, pools: client.delete_registered_model(pools.draw("name")),
    "create_registered_model": lambda client, pools: client.create_registered_model(pools.draw("name")),
    "create_model_version": lambda client, pools: client.create_model_version(
        pools.draw("name"), pools.draw("source"), pools.draw("run_id"), await_creation_for=0
    ),
    "copy_model_version": lambda client, pools: client.copy_model_version(
        f"models:/{pools.shared.model}/{pools.draw('version')}", pools.draw("name")
    ),
    "update_model_version": lambda client, pools: client.update_model_version(
        pools.draw("name"), pools.draw("version"), "perfect"
    ),
    "transition_model_version_stage": lambda client, pools: client.transition_model_version_stage(
        pools.draw("name"), pools.draw("version"), pools.draw("stage"), archive_existing_versions=True
    ),
    "delete_model_version": lambda client, pools: client.delete_model_version(
        pools.draw("name"), pools.draw("version")
    ),
    "set_model_version_tag": lambda client, pools: client.set_model_version_tag(
        pools.draw("name"), pools.draw("version"), pools.draw("key"), pools.draw("value")
    ),
    "delete_model_version_tag": lambda client, pools: client.delete_model_version_tag(
        pools.draw("name"), pools.draw("version"), pools.draw("key")
    ),
    "get_model_version_by_alias": lambda client, pools: client.get_model_version_by_alias(
        pools.draw("name"), pools.draw("alias")
    ),
    "log_text": lambda client, pools: client.log_text(
        pools.draw("run_id"), "other text", pools.draw("path").removeprefix("/")
    ),
    "set_tag": lambda client, pools: client.set_tag(pools.draw("run_id"), pools.draw("key"), pools.draw("value")),
    "delete_tag": lambda client, pools: client.delete_tag(pools.draw("run_id"), pools.draw("key")),
    "set_terminated": lambda client, pools: client.set_terminated(pools.draw("run_id"), "FAILED"),
    "update_run": lambda client, pools: client.update_run(pools.draw("run_id"), name="perfect"),
    "log_metric": lambda client, pools: client.log_metric(pools.draw("run_id"), "accuracy", 1.0),
    "delete_run": lambda client, pools: client.delete_run(pools.draw("run_id")),
    "restore_run": lambda client, pools: client.restore_run(pools.draw("run_id")),
    "delete_experiment": lambda client, pools: client.delete_experiment(pools.draw("experiment_id")),
    "restore_experiment": lambda client, pools: client.restore_experiment(pools.draw("experiment_id")),
    "rename_experiment": lambda client, pools: client.rename_experiment(pools.draw("experiment_id"), "x"),
    "set_experiment_tag": lambda client, pools: client.set_experiment_tag(
        pools.draw("experiment_id"), pools.draw("key"), pools.draw("value")
    ),
    "delete_logged_model": lambda client, pools: client.delete_logged_model(pools.draw("model_id")),
    "set_logged_model_tags": lambda client, pools: client.set_logged_model_tags(
        pools.draw("model_id"), {pools.draw("key"): pools.draw("value")}
    ),
    "finalize_logged_model": lambda client, pools: client.finalize_logged_model(pools.draw("model_id"), "FAILED"),
    "a forged record": _forged,
}
