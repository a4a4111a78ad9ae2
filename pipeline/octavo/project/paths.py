"""Where each artifact lies: the one home of paths, relative to the project's root.

`dvc.yaml` names the same places, since DVC reads nothing else; a test holds the two together.
"""

from pathlib import Path
from urllib.parse import quote

ARTIFACTS = Path("artifacts")
REPORTS = Path("reports")

CODE = ARTIFACTS / "code.json"
"""For each stage the digest of the code that it runs, and which networks are needed."""
OPTIONS_CHECKED = ARTIFACTS / "options_checked.txt"
DATA = ARTIFACTS / "data"
EVALUATIONS = ARTIFACTS / "evaluations"
TRIALS = ARTIFACTS / "trials"
"""What searches have tried: no output of a stage, and safe to delete."""
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
"""A record of each night, `<date>.json`, and cron's log."""

NIGHT_ENVIRONMENT = Path("nightly.env")
"""What the night's environment has beyond a bare one, `NAME=value` lines: a scheduler knows nothing of a shell's."""

AUDIT_LOGS = REPORTS / "audit"
"""This machine's copies of the audit logs, one a registered model."""


def split(name: str) -> Path:
    """Folder of one split: `images.npy` and `labels.npy`."""
    return DATA / name


def network(name: str) -> Path:
    """Folder of one trained network: `weights.h5` and `curve.csv`, or `refused.json`, which says why there are none."""
    return ARTIFACTS / "networks" / name


def weights(name: str) -> Path:
    return network(name) / "weights.h5"


def curve(name: str) -> Path:
    """CSV of one training: a row an epoch, `epoch,loss,accuracy,val_loss,val_accuracy`."""
    return network(name) / "curve.csv"


def exported(source: str) -> Path:
    """Folder of one exported network: `model.onnx`, `saved_model/` and `remarks.json`, or `refused.json` instead."""
    return ARTIFACTS / "exported" / source


def model_folder(variant: str) -> Path:
    """Folder of one variant's model file, whose name its format knows, and of what lies beside it."""
    return ARTIFACTS / "models" / variant


def trials(variant: str) -> Path:
    """CSV with a row for each way to quantize that was tried for one variant; there only if it was searched."""
    return model_folder(variant) / TRIALS_CSV


def acceptance(variant: str) -> Path:
    """How one variant's file answered when it was tried; there only if it was accepted."""
    return model_folder(variant) / "acceptance.json"


def refusal(variant: str) -> Path:
    """Why there is no model of one variant; there only if it was refused."""
    return model_folder(variant) / "refused.json"


def card(variant: str) -> Path:
    """What was measured of one variant, quality, size and proof; or why it was refused."""
    return EVALUATIONS / variant / "card.json"


def logits(variant: str) -> Path:
    """Logits over the test split, float32 (N, classes)."""
    return EVALUATIONS / variant / "logits.npy"


def predictions(variant: str) -> Path:
    """CSV with a row an image: `actual,predicted`."""
    return EVALUATIONS / variant / "predictions.csv"


def audit_log(model: str, made: int | None = None) -> Path:
    """This machine's copy of a registered model's audit log, a line a record.

    Args:
        model: the name that it is registered under.
        made: when it was registered, in milliseconds; None for a copy that an earlier release kept by name alone.
    """
    return AUDIT_LOGS / f"{quote(model, safe='')}{'' if made is None else f'.{made}'}.jsonl"
