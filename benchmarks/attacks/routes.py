"""Every route of a guarded server, asked by people of four roles to change what is guarded.

The routes are those of the app itself, Flask's and FastAPI's. Each gets requests whose fields are drawn from the very
names, numbers, tags and paths of a promoted model, and from odd spellings of them. After each request the database and
the artifacts are looked at, behind the server: what the gate holds has to be as it was; where anything else changed,
`octavo audit` has to see it, or no record may vouch for it.
"""

import json
import os
import random
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import requests

from benchmarks.attacks.guarded import ROLES, Kept, Server, Shared, running, share
from benchmarks.attacks.part import Part
from octavo_mlflow.registry.standing import DONE, HEAD, LOG
from tests.octavo_mlflow import team
from tests.octavo_mlflow.team import password

REQUESTS = 3
"""To each route that may write, by each role."""
PATIENCE = 30.0
SLOW = re.compile(r"/(demo/generate|invoke|jobs)\b")
"""Routes that start other work, which nothing here is about, are asked once."""
LISTING = """
import json, sys
from octavo_mlflow.server.auth_app import create_app
from mlflow.server import app as flask

def walk(router, prefix=""):
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in route.methods)

found = {(method, rule.rule) for rule in flask.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}
print(json.dumps(sorted({*found, *walk(create_app())})))
"""
SEEN, FREE, NOTHING = "seen by the audit", "changed what nothing vouches for", "nothing changed"


def run(most: int, seed: int) -> Part:
    """Ask routes, at most so many."""
    with running() as server:
        routes = listed(server)
        chosen = [routes[place * len(routes) // min(most, len(routes))] for place in range(min(most, len(routes)))]
        attack = Attack(share(server, 0), random.Random(seed))  # noqa: S311 # to be repeated
        for method, path in chosen:
            for role in ROLES:
                for _ in range(1 if method == "GET" or SLOW.search(path) else REQUESTS):
                    attack.ask(role, method, path)
        faults = [*attack.faults, *server_faults(server)]
    rows = [
        {"role": role, "requests": attack.asked[role], **{name: attack.came[role, name] for name in OUTCOMES}}
        | {f"{status}xx": attack.statuses[role, status] for status in (2, 3, 4, 5)}
        for role in ROLES
    ]
    facts = {
        "audits": len(attack.audited),
        "routes": len(chosen),
        "requests": sum(attack.asked.values()),
        "seed": seed,
        "bypasses": len(attack.faults),
    }
    return Part("Requests to a guarded server", rows, faults, facts | {"seen by the audit": attack.seen})


OUTCOMES = (NOTHING, FREE, SEEN, "BYPASS")


def listed(server: Server) -> list[tuple[str, str]]:
    """Method and path of every route of the app."""
    place = server.folder / "listing.db"
    store = dict.fromkeys(("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"), f"sqlite:///{place}")
    config = server.folder / "listing.ini"
    config.write_text((server.folder / "auth.ini").read_text().replace(str(server.engine.url), f"sqlite:///{place}"))
    environment = os.environ | store | {"_MLFLOW_SGI_NAME": "uvicorn", "MLFLOW_AUTH_CONFIG_PATH": str(config)}
    environment |= {"OCTAVO_POLICY": str(team.ROOT / "params.yaml")}
    done = subprocess.run([sys.executable, "-c", LISTING], env=environment, capture_output=True, text=True, check=True)
    return [(method, path) for method, path in json.loads(done.stdout.splitlines()[-1])]


def server_faults(server: Server) -> Iterator[str]:
    """The server still answers, and no traceback in its log is Octavo's."""
    if not requests.get(f"{server.team.address}/health", timeout=PATIENCE).ok:
        yield "the server does not answer any more"
    for block in re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+(?:\w.*\n)?", server.log):
        *_, place = re.findall(r'File "([^"]+)", line (\d+)', block)
        if "octavo_mlflow" in place[0] or "/octavo/" in place[0]:
            yield f"traceback in the server: {block.strip().splitlines()[-1][:300]} at {place[0]}:{place[1]}"


class Attack:
    """Requests to one promoted model, and what came of them."""

    def __init__(self, shared: Shared, chance: random.Random) -> None:
        self.shared, self.chance = shared, chance
        self.kept: Kept = shared.keep()
        self.held, self.loose = shared.held(), shared.loose()
        self.asked: Counter[str] = Counter()
        self.came: Counter[tuple[str, str]] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.seen: dict[str, str] = {}
        self.audited: dict[str, tuple[int | None, str]] = {}
        """What the audit says of each set of changed things; it takes its time, and is asked once for each."""
        self.faults: list[str] = []

    def ask(self, role: str, method: str, path: str) -> None:
        """Send one request, and look at what became of it."""
        fields = self.fields()
        url = self.shared.server.team.address + self.filled(path, fields)
        who = None if role == "nobody" else (self.shared.people[role], password(self.shared.people[role]))
        self.asked[role] += 1
        try:
            answer = requests.request(method, url, auth=who, timeout=PATIENCE, **self.content(path, fields))
            self.statuses[role, answer.status_code // 100] += 1
        except requests.RequestException:
            self.statuses[role, 5] += 1
        self.look(role, f"{method} {path}", fields)

    def look(self, role: str, what: str, fields: Any) -> str:
        """What became of guarded things; they are put back where anything changed."""
        held, loose = self.shared.held(), self.shared.loose()
        if (held, loose) == (self.held, self.loose):
            came = NOTHING
        elif held != self.held:
            came = "BYPASS"
            changed = {name for name in held if held[name] != self.held[name]}
            if role == "manager" and (changed == {"permissions"} or self.shared.is_recorded()):
                came = FREE  # managers say who else may do what, and may force a move that is recorded
            else:
                self.faults.append(f"{role}, {what}, changed {_changed(self.held, held)}, by {str(fields)[:600]}")
        else:
            came = self._audited(role, what, loose, fields)
        self.came[role, came] += 1
        if came != NOTHING:
            self.shared.restore(self.kept)
            self.held, self.loose = self.shared.held(), self.shared.loose()
        return came

    def _audited(self, role: str, what: str, loose: Any, fields: Any) -> str:
        signature = _changed(self.loose, loose, values=False)
        if signature not in self.audited:
            self.audited[signature] = self.shared.audit()
        code, said = self.audited[signature]
        if code == 2:
            self.seen.setdefault(f"{role}: {what}", said[:300])
            return SEEN
        if code != 0:
            self.faults.append(f"{role}, {what}: the audit ends with {code}: {said[-600:]}")
            return "BYPASS"
        judged, before = self.shared.judged(loose["files"]), self.shared.judged(self.loose["files"])
        if any(judged.get(path) != digest for path, digest in before.items()):
            self.faults.append(f"{role}, {what}, changed {_changed(before, judged)}, and the audit sees nothing")
            return "BYPASS"
        return FREE

    def fields(self) -> dict[str, Any]:
        """What a request may say: a value for each name that any route reads."""
        shared, pick = self.shared, self.chance.choice
        version = pick(["1", "2", "3", "3", "3", "4", "03", " 3", "+3", "3 ", "0x3", "99", "-1"])
        number = version.strip() if version.strip() in shared.versions else "3"
        key, value = pick(self.tags())
        run = pick([shared.log, shared.versions[number]["run"]])
        experiment = pick([*shared.experiments.values()])
        user = pick([*shared.people.values(), "admin"])
        path = pick(self.paths(experiment))
        return {
            "name": pick([shared.model, shared.model, shared.model, f"{shared.model}.audit", f" {shared.model}"]),
            "new_name": pick([f"{shared.model}-2", f"{shared.model}.audit", "x"]),
            "alias": pick(["champion", "previous", "anchor", "champion", "Champion", "champion ", "ch\u0430mpion"]),
            "version": version,
            "key": key,
            "value": value,
            "tag_key": key,
            "tags": [{"key": key, "value": value}],
            "run_id": run,
            "run_uuid": run,
            "run_ids": [run],
            "experiment_id": experiment,
            "experiment_ids": [experiment],
            "model_id": shared.versions[number]["model"],
            "model_ids": [shared.versions[number]["model"]],
            "path": path,
            "artifact_path": path,
            "source": f"models:/{shared.versions[number]['model']}",
            "src_model_uri": f"models:/{shared.model}/{number}",
            "description": "It is perfect.",
            "stage": pick(["Production", "Archived", "None"]),
            "archive_existing_versions": True,
            "status": pick(["FAILED_REGISTRATION", "READY", "FINISHED", "LOGGED_MODEL_UPLOAD_FAILED"]),
            "username": user,
            "password": "another password of twelve",
            "is_admin": True,
            "permission": "MANAGE",
            "resource_type": pick(["registered_model", "experiment"]),
            "resource_id": pick([shared.model, experiment]),
            "filter": f"name = '{shared.model}'",
            "query": "mutation { mlflowSetRegisteredModelAlias(input: {alias: 1}) { apiError { code } } }",
            "model_json": json.dumps({"model_id": shared.versions[number]["model"], "run_id": run}),
            "metrics": [{"key": "accuracy", "value": 1.0, "timestamp": 1, "step": 0}],
            "params": [{"key": "recipe", "value": "x"}],
            "max_results": 5,
        }

    def tags(self) -> list[tuple[str, str]]:
        """Tags of the model, of its versions and of its log, and what one could want them to be."""
        a = 64 * "a"
        heads = [f"2 {a}", f"3 {a}", f"1 {a}", "0 " + 64 * "0", "", "seven"]
        found = [*((HEAD, head) for head in heads), (DONE, "1"), (DONE, "9"), (DONE, ""), (LOG, 32 * "a"), (LOG, "")]
        marks = ("model.sha256", "octavo.digest", "variant", "audit.record", "audit.of", "accuracy", "verdict")
        return [*found, *((mark, pick) for mark in marks for pick in (a, "", "onnx_fp32"))]

    def paths(self, experiment: str) -> list[str]:
        """Of artifacts: those that records vouch for, and what lies beside them."""
        files = [path.partition("/artifacts/")[2] for path in self.loose["files"]]
        judged = [path.partition("/artifacts/")[2] for path in self.shared.judged(self.loose["files"])]
        inner = [path.partition("/artifacts/")[2] for path in judged]
        return [*judged, *inner, self.chance.choice(files), "records/000003-x.json", f"{experiment}/../../x", "records"]

    def filled(self, path: str, fields: dict[str, Any]) -> str:
        """The path with its parameters."""

        def value(found: re.Match[str]) -> str:
            name = (found[1] or found[2]).rpartition(":")[2]
            name = (found[1] or found[2]).partition(":")[0] if found[2] else name
            named = fields.get(name, fields["model_id"])
            return urllib.parse.quote(str(named), safe="/")

        return re.sub(r"<([^>]+)>|\{([^}]+)\}", value, path)

    def content(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Query and body: JSON, or the bytes of an artifact."""
        flat = {name: str(value) for name, value in fields.items() if not isinstance(value, list)}
        if "upload-artifact" in path or "mlflow-artifacts/artifacts/" in path:
            return {"params": flat, "data": self.chance.choice([b"", b"{}", b"other bytes"])}
        return {"params": flat, "json": fields}


def _changed(before: dict[str, Any], after: dict[str, Any], values: bool = True) -> str:
    """What differs: its name, and from what to what."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name, []), after.get(name, [])
        if one != other:
            pairs = [
                {str(item) for item in (each.items() if isinstance(each, dict) else each)} for each in (one, other)
            ]
            lost, come = (sorted(pairs[0] - pairs[1]), sorted(pairs[1] - pairs[0]))
            found.append(
                f"{name}: {str(lost)[:300]} became {str(come)[:300]}" if values else f"{name}: {lost}, {len(come)}"
            )
    return "; ".join(found)
