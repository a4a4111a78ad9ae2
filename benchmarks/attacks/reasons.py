"""Why a command does the same although something was changed: what was changed has no bearing on it.

The first rule that fits counts. Where none does, it is a fault that a command did the same.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from benchmarks.attacks.kind import Kind

ALL = ("promote", "rollback", "audit", "replay", "deploy", "verify")
SHOWN = (
    "accuracy|accuracy_delta|agreement|size_bytes|size_ratio|integer_weight_share|integer_compute_share|sqnr_db|"
    "latency_us|latency_ratio|latency_us_batch_64|latency_ratio_batch_64|verdict|baseline.beats_majority|"
    "promote.by|promote.when|promote.why|rollback.by|rollback.when|signed.by|signed.when"
)
"""Tags of a version that are for people to see."""
TWO, THREE, FOUR = "previous and anchor", "the champion", "the next one"
"""Versions 2, 3 and 4."""


class Rule(NamedTuple):
    """Why commands do the same, whatever is changed of these kinds."""

    group: str
    """A regular expression, of the whole name."""
    kind: str
    """Likewise."""
    commands: tuple[str, ...]
    why: str


RULES = (
    # tags
    Rule(
        f"tags of ({TWO}|{THREE}|{FOUR})",
        f"({SHOWN}): .*",
        ALL,
        "for people to see: what is judged is in the scorecard, the records and the files",
    ),
    Rule(f"tags of {THREE}", "rolled.back: .*", ALL, "the log says, too, what was rolled back"),
    Rule(
        f"tags of ({TWO}|{FOUR})",
        "(variant|octavo.digest|model.sha256|octavo.folder|audit.record): .*",
        ("deploy", "verify"),
        "this version is not the one that is served",
    ),
    Rule(
        f"tags of {FOUR}",
        "(variant|octavo.digest|model.sha256|octavo.folder): .*",
        ("rollback", "audit"),
        "it was never champion: no record vouches for it yet, and nothing goes back to it",
    ),
    Rule(
        f"tags of {THREE}",
        "(variant|octavo.digest|model.sha256|octavo.folder|audit.record): .*",
        ("rollback",),
        "only the version that comes back is read, which is 2",
    ),
    Rule(
        f"tags of ({TWO}|{THREE})",
        "(octavo.digest|octavo.folder|audit.record): .*",
        ("promote", "rollback"),
        "models in service are held to the records that made them champion; the audit tells of the tag",
    ),
    Rule(
        f"tags of {THREE}",
        "(octavo.folder|audit.record): .*",
        ("deploy", "verify"),
        "the champion's files are held to its record; the audit tells of the tag",
    ),
    Rule(
        f"tags of ({TWO}|{THREE}|{FOUR})",
        "(variant|octavo.digest|model.sha256|octavo.folder|audit.record): .*",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    Rule(
        "tag audit.done of the model",
        "audit.done: (an older number|no number|deleted)",
        ("promote", "rollback", "replay", "deploy", "verify"),
        "the move that it says was not made is found to be made; the audit tells",
    ),
    Rule(
        "tag audit.log of the model",
        "audit.log: (''|deleted)",
        ALL,
        "as in logs of earlier releases: it is found by its experiment's name, and held to the head",
    ),
    Rule(
        "tags of the model, by hand",
        "audit.log (deleted|NULL)",
        ALL,
        "as in logs of earlier releases: it is found by its experiment's name, and held to the head",
    ),
    Rule(
        f"tags of ({TWO}|{THREE})",
        "octavo.folder: deleted",
        ("audit",),
        "versions of earlier releases have none: what was judged is in the record, and the files are held to that",
    ),
    Rule("descriptions, stages, other tags", ".*", ALL, "nothing reads it"),
    # aliases
    Rule("aliases", "'champions' beside, to version 1", ALL, "another word: nobody takes it for one of Octavo's"),
    Rule(
        "aliases",
        "'(Champion|ch.u0430mpion)' beside, to version 1",
        ("promote", "rollback", "replay", "deploy", "verify"),
        "aliases are read by their exact names; the audit tells of one that looks like them",
    ),
    Rule(
        "aliases(, by hand)?",
        "(previous|anchor) (to (version )?-?[0-9]+|deleted|of another name)",
        ("deploy", "verify"),
        "the champion is used, and its alias stands where the log left it",
    ),
    Rule("aliases(, by hand)?", ".*", ("replay",), "a verdict follows from the log and its grounds, which are whole"),
    Rule(
        f"tags of {FOUR}",
        "octavo.folder: deleted",
        ("promote",),
        "versions of earlier releases have none: the files are what they were, and the record names them as they are",
    ),
    Rule(
        f"tags of {FOUR}",
        "(audit.record|promote.by|promote.when|rollback.by|rollback.when): made up",
        ("promote", "rollback", "replay", "deploy", "verify"),
        "what was champion is read in the log; the audit tells of the tag",
    ),
    Rule(f"tags of {FOUR}", "rolled.back: made up", ALL, "by name it is promoted all the same; without, promote tells"),
    # versions, models, runs
    Rule(
        "versions, deleted or copied",
        "version 1 deleted",
        ALL,
        "the baseline's version never was in service: its figures are in the scorecards and the grounds",
    ),
    Rule("versions, deleted or copied", "version 2 deleted", ("deploy", "verify"), "it is not the one that is served"),
    Rule(
        "versions, deleted or copied",
        "version [23] deleted",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    Rule(
        "versions, deleted or copied",
        "version 4 deleted",
        ("rollback", "audit", "replay", "deploy", "verify"),
        "it was never champion: no record is about it",
    ),
    Rule(
        "versions, deleted or copied",
        "version 1 copied by the button",
        ALL,
        "a copy of what never was champion, with no alias and no record of its own",
    ),
    Rule(
        "versions, deleted or copied",
        "version [234] copied by the button",
        ("promote", "rollback", "replay", "deploy", "verify"),
        "a copy has no alias, and no record of its own; the audit tells of one that reads as if it had been champion",
    ),
    Rule(
        "versions, deleted or copied",
        "version 4 copied by the button",
        ("audit",),
        "a copy of what never was champion, with no alias and no record of its own",
    ),
    Rule(
        "versions, deleted or copied",
        "version 3's tags on a version of another file",
        ("rollback", "audit", "replay", "deploy", "verify"),
        "it never was champion, and promote refuses it",
    ),
    Rule("registered model", "renamed, and back", ALL, "model and log are the same, whatever it was called meanwhile"),
    Rule(
        "registered model",
        "deleted, and (made anew without versions|version 1 its champion)",
        ("replay",),
        "the tags were put back, and with them the log: a verdict follows from that and its grounds, which are whole",
    ),
    Rule(
        "experiments and runs",
        "experiment octavo (deleted|renamed)|(run|logged model) of version [0-9] deleted",
        ALL,
        "runs are for looking: a version has its own files, which are held to records and tags",
    ),
    Rule(
        "experiments and runs",
        "experiment octavo.audit renamed|run of the log says it is another model's",
        ALL,
        "the model's own tag names the run of its log, and the head names the last record",
    ),
    # by hand in the database
    Rule(
        "tags of the model, by hand",
        "audit.done deleted",
        ("promote", "rollback", "replay", "deploy", "verify"),
        "the move that it says was not made is found to be made; the audit tells",
    ),
    Rule("tags of the model, by hand", "audit.done 04", ALL, "it is the same number"),
    Rule(
        "tags of versions, by hand",
        "(variant|octavo.digest|model.sha256|audit.record|all) of [24] (deleted|NULL)",
        ("deploy", "verify"),
        "this version is not the one that is served",
    ),
    Rule(
        "tags of versions, by hand",
        "(variant|octavo.digest|model.sha256|audit.record|all) of 4 (deleted|NULL)",
        ("rollback", "audit"),
        "it was never champion: no record vouches for it yet, and nothing goes back to it",
    ),
    Rule(
        "tags of versions, by hand",
        "(variant|octavo.digest|model.sha256|audit.record|all) of 3 (deleted|NULL)|of 3 and 4 swapped",
        ("rollback",),
        "only the version that comes back is read, which is 2",
    ),
    Rule(
        "tags of versions, by hand",
        "(octavo.digest|audit.record) of [23] (deleted|NULL)",
        ("promote", "rollback"),
        "models in service are held to the records that made them champion; the audit tells of the tag",
    ),
    Rule(
        "tags of versions, by hand",
        "audit.record of 3 (deleted|NULL)",
        ("deploy", "verify"),
        "the champion's files are held to its record; the audit tells of the tag",
    ),
    Rule(
        "tags of versions, by hand",
        ".*",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    # files
    Rule(
        f"files of {FOUR}",
        ".*",
        ("rollback", "audit", "replay", "deploy", "verify"),
        "it was never champion: no record vouches for it yet, nothing goes back to it, and it is not served",
    ),
    Rule(
        f"files of {FOUR}",
        "model.sig: .*|a signature by another key",
        ("promote",),
        "a signature is made after everything was judged, and only who has the key can judge it: octavo verify",
    ),
    Rule(
        f"files of ({TWO}|{THREE}|{FOUR})",
        "class names in the run's scorecard",
        ALL,
        "names are read from the scorecard beside the model, not from the run",
    ),
    Rule(
        "versions, by hand",
        "version 1 deleted|stage of 1 is deleted",
        ALL,
        "the baseline's version never was in service: its figures are in the scorecards and the grounds",
    ),
    Rule(
        "versions, by hand",
        "version 2 deleted|stage of 2 is deleted|(source|storage_location) of 2 is that of 4",
        ("deploy", "verify"),
        "this version is not the one that is served",
    ),
    Rule(
        "versions, by hand",
        "version 4 deleted|stage of 4 is deleted|(source|storage_location) of 4 is that of 1",
        ("rollback", "audit", "deploy", "verify"),
        "it was never champion: no record is about it, nothing goes back to it, and it is not served",
    ),
    Rule(
        "versions, by hand",
        "(source|storage_location) of 3 is .*",
        ("rollback",),
        "only the version that comes back is read, which is 2",
    ),
    Rule(
        "versions, by hand",
        "source of (2 is that of 4|3 is .*)",
        ("promote",),
        "models in service are compared by the bytes that their records name; the audit tells of the source",
    ),
    Rule(
        "versions, by hand",
        "storage_location of 3 is NULL",
        ("deploy", "verify"),
        "then MLflow looks where the logged model lies, and the files there are held to the champion's record",
    ),
    Rule("versions, by hand", "run_id of .*", ALL, "runs are for looking: a version has its own files"),
    Rule(
        "versions, by hand",
        "status of [34] failed",
        ALL,
        "MLflow's note of how registering went: whether all files are there and whole is seen from the files",
    ),
    Rule(
        "versions, by hand|bytes, and what vouches for them",
        ".*",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    Rule(
        "bytes, and what vouches for them",
        "file(, model.sha256 and MLmodel| and model.sha256) of [24]",
        ("deploy", "verify"),
        "this version is not the one that is served",
    ),
    Rule(
        "bytes, and what vouches for them",
        "file(, model.sha256 and MLmodel| and model.sha256) of 3|file and tags of version 3 are those of 1",
        ("rollback",),
        "only the version that comes back is read, which is 2",
    ),
    Rule(
        "bytes, and what vouches for them",
        "file(, model.sha256 and MLmodel| and model.sha256) of 4",
        ("rollback", "audit"),
        "it was never champion: no record vouches for it yet, and nothing goes back to it",
    ),
    # places
    Rule(
        "places of artifacts",
        "folder of version [34]: an unchanged copy",
        ALL,
        "the content is the same, wherever it lies",
    ),
    Rule(
        "places of artifacts",
        "folder of version 3: code changed",
        ("promote", "rollback"),
        "models in service are compared by their model file, which is whole; audit, deploy and verify see the rest",
    ),
    Rule(
        "places of artifacts",
        "folder of version [34]: code changed",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    Rule(
        "places of artifacts",
        "folder of version 4: code changed",
        ("rollback", "audit", "deploy", "verify"),
        "it was never champion: no record vouches for it yet, nothing goes back to it, and it is not served",
    ),
    Rule(
        "places of artifacts", "experiments", ALL, "only runs to come are put there: the log's has a place of its own"
    ),
    # the champion's and its predecessor's files
    Rule(
        f"files of {THREE}",
        "(?!data/model.tflite|the folder of another version).*",
        ("promote",),
        "models in service are compared by their model file, which is whole; audit, deploy and verify see the rest",
    ),
    Rule(f"files of {THREE}", ".*", ("rollback",), "only the version that comes back is read, which is 2"),
    Rule(
        f"files of {TWO}",
        "(?!data/model.tflite|the folder of another version).*",
        ("promote",),
        "models in service are compared by their model file, which is whole; audit and rollback see the rest",
    ),
    Rule(f"files of {TWO}", ".*", ("deploy", "verify"), "this version is not the one that is served"),
    Rule(
        f"files of ({TWO}|{THREE})",
        ".*",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    Rule(
        f"files of ({TWO}|{THREE})",
        "model.sig: .*|a signature by another key",
        ("promote", "rollback", "audit", "deploy"),
        "a signature is made after everything was judged, and only who has the key can judge it: octavo verify",
    ),
    Rule(
        "places of artifacts",
        "logged models(, at a server)?|versions, at a server",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    # the registered model and the experiments, by hand
    Rule(
        "registered model, by hand",
        "registered a day later",
        ("replay", "deploy", "verify"),
        "the log is the model's by the tag and the head; promote, rollback and audit tell of the time",
    ),
    Rule(
        "registered model, by hand",
        "registered (at no time|a year before)",
        ALL,
        "the log is the model's by its first record, too, and no record is older than the model",
    ),
    Rule(
        "experiments and runs, by hand",
        "all experiments deleted",
        ALL,
        "an experiment in the bin whose runs are not: the log is found by its run",
    ),
    Rule("experiments and runs, by hand", "metrics of all runs gone", ALL, "metrics of runs are for looking"),
    Rule(
        "experiments and runs, by hand",
        "all logged models deleted|rows of all logged models gone",
        ("replay",),
        "a verdict follows from the log and its grounds, which are whole",
    ),
    # the log
    Rule(
        "records in MLflow",
        "record [123]: .*",
        ("deploy", "verify"),
        "the log is read from its head back to the record that made the champion, which is 4",
    ),
    Rule(
        "records in MLflow",
        "record [1-4]: a byte added",
        ALL,
        "white space at the end of a file: a record's hash is of what it says, which is the same",
    ),
    Rule(
        "records in MLflow",
        "records 2 and 3 swapped|record 4 under another name|record 4 doubled under the next number",
        ALL,
        "files bear a number and a hash to be found by, and a record counts by the hash of what it says",
    ),
    Rule(
        f"files of {THREE}",
        "model.sig: a byte added",
        ("verify",),
        "white space at the end: the signature is the same",
    ),
    Rule(
        "grounds in MLflow",
        ".*",
        ("rollback", "deploy", "verify"),
        "what a version was judged by is not judged again when it comes back, or is used; the audit tells",
    ),
    Rule(
        "grounds in MLflow",
        "grounds of record [12]: .*",
        ("replay",),
        "the last promotion is judged again, which is record 4; the audit tells",
    ),
    Rule(
        "this machine's copy of the log",
        "(deleted|empty)",
        ALL,
        "as on a machine that never promoted: it is made anew from MLflow's log, which is whole",
    ),
    Rule(
        "this machine's copy of the log",
        "the last line dropped",
        ALL,
        "as on a machine that did not see the last move: it is brought up to date from MLflow's log, which is whole",
    ),
    Rule("this machine's copy of the log", "a byte added", ALL, "an empty last line: every record is as it was"),
    Rule("this machine's copy of the log", "a link to the same content", ALL, "it is read through the link"),
    Rule(
        "data and reports of the project",
        ".*",
        ("rollback", "audit", "replay", "deploy", "verify"),
        "MLflow alone is read",
    ),
    Rule(
        "data and reports of the project",
        "the decision|logits of the baseline|the model file in the project",
        ("promote",),
        "it is derived anew: from the scorecards, and from MLflow's bytes run on the test split",
    ),
    Rule(
        "records, forged",
        "a record appended, and nothing names it",
        ALL,
        "a file that nothing names, as a process that was killed leaves it, counts for nothing",
    ),
    Rule(
        "records, forged",
        "a record appended and named",
        ("deploy", "verify"),
        "the champion is where it was, and its own record vouches for it; the move that is said to be open is not made",
    ),
    Rule(
        "grounds in MLflow",
        "grounds of record 2: .*",
        ("promote",),
        "what models in service were made of is read from their last promotions, which are 1 and 4; the audit tells",
    ),
    Rule(
        "this machine's copy of the log",
        "a line in the middle dropped|two lines swapped",
        ("replay", "deploy", "verify"),
        "the copy's length and last record are held to the head; promote, rollback and audit hold every line",
    ),
    Rule(
        "this machine's copy of the log",
        "of another moment",
        ALL,
        "a copy that begins with the log's first record is the log's, whatever moment its name says",
    ),
)


def why(kind: Kind, command: str) -> str:
    """Why the command does the same; nothing where no rule fits."""
    return next(_fitting(kind.group, kind.name, command), "")


def _fitting(group: str, kind: str, command: str) -> Iterator[str]:
    for rule in RULES:
        if command in rule.commands and re.fullmatch(rule.group, group) and re.fullmatch(rule.kind, kind, re.DOTALL):
            yield rule.why


def told(found: Iterable[Any]) -> list[str]:
    """The reasons that were needed, and how often."""
    counts: dict[str, int] = {}
    for each in found:
        for command, came in each["commands"].items():
            if came == "no bearing":
                reason = next(_fitting(each["group"], each["kind"], command))
                counts[reason] = counts.get(reason, 0) + 1
    return [f"{number} times: {reason}" for reason, number in sorted(counts.items(), key=lambda pair: -pair[1])]
