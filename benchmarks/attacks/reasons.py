"""Why a command does the same although something was changed: what was changed has no bearing on it.

The first rule that fits counts. Where none does, it is a fault that a command did the same.
"""

import re
from collections.abc import Iterable
from typing import Any

from benchmarks.attacks.kind import Kind

ALL = ("promote", "rollback", "audit", "replay", "deploy", "verify")
SHOWN = (
    "accuracy|accuracy_delta|agreement|size_bytes|size_ratio|integer_weight_share|integer_compute_share|sqnr_db|"
    "latency_us|latency_ratio|latency_us_batch_64|latency_ratio_batch_64|verdict|baseline.beats_majority|"
    "promote.by|promote.when|promote.why|rollback.by|rollback.when|rolled.back|signed.by|signed.when"
)
"""Tags of a version that are for people to see."""

LOG = (
    "tag audit|tags of the model|records|grounds |this machine's copy|"
    "experiments and runs: (experiment octavo.audit|run of)"
)
"""What is of the audit log."""
OTHER = "previous and anchor|the next one"

RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        rf"^tags of (the champion|{OTHER}): ({SHOWN}): ",
        ALL,
        "for people to see: what is judged is in the scorecard, the records and the files",
    ),
    ("^descriptions, stages, other tags: |^aliases: 'champions' beside", ALL, "nothing reads it"),
    (
        "^registered model: renamed, and back",
        ALL,
        "the model and its log are the same, whatever it was called meanwhile",
    ),
    (
        "run_id of |run of version|rows of all runs|metrics of all runs",
        ALL,
        "a version has its own files: runs are for looking",
    ),
    (
        "^versions, deleted or copied: version . copied",
        ALL,
        "a copy has no alias, and no record of its own; status names it",
    ),
    (
        "^(bytes|places.*: folder|files of|tags of|aliases|versions|registered model: deleted, and|data)|logged model",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    (f"^({LOG})", ("deploy", "verify"), "the version's own record, files and signature are read, and they are whole"),
    ("^tag audit.done", ALL, "the move that it says was not made is found to be made"),
    ("^grounds ", ("rollback",), "what a version was judged by is not judged again when it comes back"),
    ("^grounds in MLflow: (?!.* 4:)", ("replay",), "the last promotion is judged again, which is record 4"),
    (
        "^grounds in MLflow: grounds of record 2",
        ("promote",),
        "of the models in service only the last records are read",
    ),
    ("a link to the same content", ALL, "the content is the same, and is read through the link"),
    ("^this machine's copy", ("replay",), "the record is held to MLflow's chain, which is whole"),
    ("^this machine's copy of the log: (deleted|empty)", ALL, "as on a machine that never promoted: it is made anew"),
    (
        rf"^(files|tags) of ({OTHER})|(of|version) [124]\b|(MLmodel|model.sha256) of 2|version 4: ",
        ("deploy", "verify"),
        "this version is not the one that is served",
    ),
    (
        r"^(files|tags) of (the champion|the next one)|\b[134]\b",
        ("rollback",),
        "only the version that comes back is read, which is 2",
    ),
    (
        r"^(files|tags) of the next one|^(places|bytes).* 4\b|(of|version) [14]\b",
        ("audit",),
        "it was never promoted, and no record vouches for it yet",
    ),
    (
        r"^files of (previous and anchor|the champion): (?!data/model.tflite)|^versions.* 1\b|logged model of version",
        ("promote",),
        "models in service are compared by their model file; what is beside it is for audit, rollback and verify",
    ),
    (
        "^tags of (previous and anchor|the champion): (octavo.digest|audit.record)|source of 3",
        ("promote",),
        "models in service are compared by their bytes, held to the record, wherever they are found",
    ),
    (
        "audit.record",
        ("promote", "rollback", "deploy", "verify"),
        "the records are read themselves, not the tag that names one for people to see; the audit tells",
    ),
    (
        "^tags of previous and anchor: octavo.digest",
        ("rollback",),
        "it is held to the bytes and the folder that its record names; the audit tells of the tag",
    ),
    ("registered at no time|registered a year before", ALL, "the log is the model's by its first record, too"),
    ("class names in the run's scorecard", ALL, "names are read from the scorecard beside the model, not from the run"),
    ("^data and reports of the project", ("rollback", "audit", "replay", "deploy", "verify"), "MLflow alone is read"),
    (
        "^data and reports of the project: (the decision|logits of the baseline|the model file)",
        ("promote",),
        "it is derived anew: from the scorecards, and from MLflow's bytes run on the test split",
    ),
)


def why(kind: Kind, command: str) -> str:
    """Why the command does the same; nothing where no rule fits."""
    return next(_fitting(f"{kind.group}: {kind.name}", command), "")


def _fitting(what: str, command: str) -> Any:
    return (reason for pattern, commands, reason in RULES if command in commands and re.search(pattern, what))


def told(found: Iterable[Any]) -> list[str]:
    """The reasons that were needed, and how often."""
    counts: dict[str, int] = {}
    for each in found:
        for command, came in each["commands"].items():
            if came == "no bearing":
                reason = next(_fitting(f"{each['group']}: {each['kind']}", command))
                counts[reason] = counts.get(reason, 0) + 1
    return [f"{number} times: {reason}" for reason, number in sorted(counts.items(), key=lambda pair: -pair[1])]
