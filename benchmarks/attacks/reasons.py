"""Why a command does the same although something was changed: what was changed has no bearing on it.

The first rule that fits counts. Where none does, that a command did the same is a fault: it accepted what it should not.
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

RULES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        rf"^tags of (previous and anchor|the champion|the next one): ({SHOWN}): ",
        ALL,
        "for people to see: what is judged is in the scorecard, the records and the files",
    ),
    ("^descriptions, stages, other tags: ", ALL, "says nothing that a command reads"),
    ("^aliases: 'champions' beside", ALL, "an alias that is none of the three, nor looks like one"),
    (
        "^(tag audit|tags of the model|records |this machine's copy|grounds |run of the log|experiments and runs)",
        ("deploy", "verify"),
        "one version is taken by its own digests and signature: no log is read",
    ),
    ("^grounds ", ("rollback",), "what a version was judged by is not judged again when it comes back"),
    (
        "^grounds in MLflow: grounds of record [12]",
        ("replay",),
        "the last promotion is judged again, which is record 4",
    ),
    ("^this machine's copy", ("replay",), "the record is held to MLflow's chain, which is whole"),
    ("^this machine's copy of the log: deleted", ALL, "as on a machine that never promoted: it is made anew"),
    (
        "^(files|tags) of (previous and anchor|the next one)",
        ("replay", "deploy", "verify"),
        "this version is not read: the verdict on the champion, or its own files, are",
    ),
    ("^(files|tags) of the champion", ("replay",), "a verdict follows from its grounds, not from files or tags"),
    (
        "^(files|tags) of the champion",
        ("rollback",),
        "the version that is left is not read; the one that comes back is",
    ),
    ("^(files|tags) of the next one", ("rollback", "audit"), "it was never promoted, and no record vouches for it yet"),
    (
        "^files of (previous and anchor|the champion): (?!data/model.tflite)",
        ("promote",),
        "models in service are compared by their model file; what is beside it is for audit, rollback and verify",
    ),
    ("^data and reports of the project", ("rollback", "audit", "replay", "deploy", "verify"), "MLflow alone is read"),
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
