"""The scorecard: everything measured about one variant, as written to `reports/scorecards.json`.

Schema 1. Fields may be added; those here keep their names.
"""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from octavo.backends.records import Acceptance, Interface, Latency, ModelFile, Proof, Refusal
from octavo.project.errors import ModelError, VariantRefused
from octavo.project.files import json_file
from octavo.project.schema import Record
from octavo.tasks.quality import Quality


class Parity(Record):
    """Logits of one variant beside those of what it should equal, image by image."""

    top1: int
    """Images with the same top-1 class."""
    n: int
    identical: float
    """Share of images with the same logits, bit for bit."""
    largest: float
    """Largest difference of two logits, in steps, or in the logits' own unit where they have no step."""
    step: float | None
    """The scale of the variant's logits, where they are integers."""


class Size(Record):
    file_bytes: int
    weight_bytes: int
    ratio: float
    """File bytes over the baseline's file bytes."""
    floor_ratio: float
    """File bytes over one byte a weight and four a bias."""


class Latencies(Record):
    threads: int
    batches: dict[str, Latency]
    machine: str | None = None
    """Digest of the machine and runtimes that it was timed on; None where they were not recorded."""


class Evaluation(Record):
    """What `evaluate` writes of one variant."""

    model: ModelFile
    quality: Quality
    size: Size
    proof: Proof
    acceptance: Acceptance | None = None
    """As in a scorecard."""
    parity: dict[str, Parity] = {}
    """Beside `network`, the exported network that it was made of."""
    interface: Interface | None = None
    layer_sqnr_db: dict[str, float] = {}
    """As in a scorecard."""
    notes: list[str] = []


class Lineage(Record):
    git: str | None
    dvc_lock: str | None
    data: str
    params: str


class Scorecard(Record):
    variant: str
    source: str
    recipe: str
    format: str
    precision: str
    method: str | None
    model: ModelFile
    quality: Quality
    size: Size
    latency: Latencies
    proof: Proof
    acceptance: Acceptance | None = None
    """How its outputs compare with those of the exported network; None in scorecards from before this was recorded."""
    parity: dict[str, Parity] = {}
    """Beside `network`, the exported network that it was made of, and beside its counterparts in other formats."""
    interface: Interface | None = None
    """How the file is called; None in scorecards from before this was recorded."""
    layer_sqnr_db: dict[str, float] = {}
    """Layer, in the order they run -> its output's signal-to-quantization-noise ratio in decibels, 200 where there is
    no noise, beside the exported network that it was made of, on calibration images; empty where not measured."""
    lineage: Lineage
    notes: list[str] = []


class Scorecards(Record):
    schema_: int = 1
    pipeline: str
    machine: dict[str, Any]
    data: dict[str, Any]
    scorecards: list[Scorecard]
    """Of the variants that have a model, in the order of `params.yaml`."""
    refused: dict[str, Refusal] = {}
    """Variant -> why it has none."""

    model_config = ConfigDict(alias_generator=lambda name: name.rstrip("_"), populate_by_name=True)

    @property
    def classes(self) -> list[str]:
        """The classes in label order, by their numbers where the data do not name them."""
        count = len(self.scorecards[0].quality.per_class_recall)
        names = self.data.get("classes")
        return [str(name) for name in (names if isinstance(names, list) and len(names) == count else range(count))]

    def card(self, variant: str) -> Scorecard:
        """The scorecard of `variant`.

        Raises:
            VariantRefused: it has no model.
            ModelError: it was not measured; the message lists those that were.
        """
        for card in self.scorecards:
            if card.variant == variant:
                return card
        if variant in self.refused:
            raise VariantRefused(f"{variant} is refused, there is no model of it. {self.refused[variant]}")
        known = ", ".join(card.variant for card in self.scorecards)
        raise ModelError(f"Unknown variant '{variant}'. Measured: {known}. Add it to params.yaml and run dvc repro.")


def load_scorecards(path: Path) -> Scorecards:
    """Read `reports/scorecards.json`.

    Raises:
        ModelError: the file is missing or not of this schema.
    """
    try:
        return json_file.read_record(path, Scorecards)
    except FileNotFoundError:
        raise ModelError(f"No {path} yet. Run dvc repro (or make repro) first.") from None
    except json_file.Unreadable as error:
        raise ModelError(f"{path} is not a scorecard file of schema 1 ({error}). Run dvc repro again.") from None
