"""Paths of all artifacts, relative to the project's root. All other modules take them from here.

`dvc.yaml` repeats them, because DVC reads only that file. A test checks that both agree.
"""

from pathlib import Path
from urllib.parse import quote

ARTIFACTS = Path("artifacts")
REPORTS = Path("reports")

CODE = ARTIFACTS / "code.json"
"""The digest of each stage's code, and which networks are needed."""
OPTIONS_CHECKED = ARTIFACTS / "options_checked.txt"
DATA = ARTIFACTS / "data"
EVALUATIONS = ARTIFACTS / "evaluations"
TRIALS = ARTIFACTS / "trials"
"""Stored trials of searches. Not an output of a stage, and safe to delete."""
TRIALS_CSV = "trials.csv"
MANIFEST = DATA / "manifest.json"
BENCHMARK = ARTIFACTS / "benchmark.json"

SCORECARDS = REPORTS / "scorecards.json"
DECISION = REPORTS / "decision.json"
METRICS = REPORTS / "metrics.json"
TRADEOFF = REPORTS / "tradeoff.csv"
CURVES = REPORTS / "curves.csv"
TRIALS_TRIED = REPORTS / "trials.csv"
"""The trials of all searches, for a plot."""
REPORT = REPORTS / "report.html"
NIGHTS = REPORTS / "nightly"
"""One record per night, `<date>.json`, and cron's log."""

NIGHT_ENVIRONMENT = Path("nightly.env")
"""Environment variables for the night, in lines `NAME=value`. A scheduler does not have the variables of a shell."""

AUDIT_LOGS = REPORTS / "audit"
"""This machine's copies of the audit logs, one per registered model."""


def split(name: str) -> Path:
    """Folder of one split, with `images.npy` and `labels.npy`."""
    return DATA / name


def network(name: str) -> Path:
    """Folder of one trained network, with `weights.h5` and `curve.csv`; with `brought.json`, if it was brought; or
    with `refused.json`, if it was refused.
    """
    return ARTIFACTS / "networks" / name


def weights(name: str) -> Path:
    return network(name) / "weights.h5"


def curve(name: str) -> Path:
    """CSV of one training, one row per epoch: `epoch,loss,accuracy,val_loss,val_accuracy`."""
    return network(name) / "curve.csv"


def brought(name: str) -> Path:
    """What is known of a network that was brought as a file. It takes the place of weights and curve."""
    return network(name) / "brought.json"


def exported(source: str) -> Path:
    """Folder of one exported network, with `model.onnx`, `saved_model/` and `remarks.json`; or with `refused.json`."""
    return ARTIFACTS / "exported" / source


def model_folder(variant: str) -> Path:
    """Folder of one variant's model file and its other files. The format decides the name of the model file."""
    return ARTIFACTS / "models" / variant


def trials(variant: str) -> Path:
    """CSV with one row per trial of one variant. It exists only if there was a search or a repair."""
    return model_folder(variant) / TRIALS_CSV


def acceptance(variant: str) -> Path:
    """Results of the acceptance test of one variant's file. It exists only if the file was accepted."""
    return model_folder(variant) / "acceptance.json"


def refusal(variant: str) -> Path:
    """Why one variant has no model. It exists only if the file was refused."""
    return model_folder(variant) / "refused.json"


def card(variant: str) -> Path:
    """Quality, size and integer proof of one variant; or why it was refused."""
    return EVALUATIONS / variant / "card.json"


def logits(variant: str) -> Path:
    """One variant's logits on the test split, float32 (N, classes)."""
    return EVALUATIONS / variant / "logits.npy"


def predictions(variant: str) -> Path:
    """CSV with one row per test image: `actual,predicted`."""
    return EVALUATIONS / variant / "predictions.csv"


def audit_log(model: str, made: int | None = None) -> Path:
    """This machine's copy of a registered model's audit log, one record per line.

    Args:
        model: name of the registered model.
        made: when it was registered, in milliseconds since 1970; None for a copy of an earlier release, whose name has
            no time.
    """
    return AUDIT_LOGS / f"{quote(model, safe='')}{'' if made is None else f'.{made}'}.jsonl"
