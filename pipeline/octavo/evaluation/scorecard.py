"""The scorecard: everything that was measured on one variant, as written to `reports/scorecards.json`.

This is schema 1. Fields may be added, but the present fields keep their names.
"""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from octavo.backends.records import Acceptance, Integers, Interface, Latency, ModelFile, Proof, Refusal
from octavo.project.errors import ModelError, VariantRefused
from octavo.project.files import json_file
from octavo.project.schema import Record
from octavo.tasks.quality import Quality


class Parity(Record):
    """Logits of a variant compared with those of a model that should be equal, image by image."""

    top1: int
    """Images with the same top-1 class."""
    n: int
    """Number of images."""
    identical: float
    """Share of images whose logits are all equal."""
    largest: float
    """Largest absolute difference of two logits, in steps, or in the logits' own unit if `step` is None."""
    step: float | None
    """The scale of the variant's logits if they come from integers, else None."""
    equal: int | None = None
    """Number of output values that are equal: of the same integer, or the same floats if `step` is None. None in older
    scorecards."""
    values: int | None = None
    """Number of output values, `n` times the classes; None in older scorecards."""
    kernels: str | None = None
    """What computed the variant's logits, such as `XNNPACK`; None if it has no name, and in older scorecards."""
    reference_kernels: str | None = None
    """Likewise for the logits that they are compared with."""


class Size(Record):
    """Size of a model."""

    file_bytes: int
    """Bytes of all files of the model."""
    weight_bytes: int
    """Bytes of the stored weights and biases."""
    ratio: float
    """`file_bytes` divided by the baseline's."""
    floor_ratio: float
    """`file_bytes` divided by the floor: one byte per weight and four per bias."""


class Latencies(Record):
    """Latency of a variant, by batch size."""

    threads: int
    batches: dict[str, Latency]
    machine: str | None = None
    """Digest of the machine and runtimes of the measurement; None if they were not recorded."""


class Evaluation(Record):
    """What `evaluate` writes about one variant."""

    model: ModelFile
    quality: Quality
    size: Size
    proof: Proof
    acceptance: Acceptance | None = None
    """As in a scorecard."""
    parity: dict[str, Parity] = {}
    """Compared with `network`, the exported source network, and with the same file computed by other kernels."""
    integers: Integers | None = None
    """None in older files."""
    interface: Interface | None = None
    layer_sqnr_db: dict[str, float] = {}
    """As in a scorecard."""
    notes: list[str] = []


class Lineage(Record):
    """Where the scorecards come from."""

    git: str | None
    """Commit, with `-dirty` if tracked files differ from it; None without git."""
    dvc_lock: str | None
    """Digest of the stages in `dvc.lock` that lead to the scorecards; None without a lock."""
    data: str
    """Digest of the data."""
    params: str
    """Digest of `params.yaml`."""


class Scorecard(Record):
    """Everything that was measured on one variant."""

    variant: str
    source: str
    """Name of the network that it was quantized from."""
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
    """Its outputs compared with those of the exported network; None in older scorecards."""
    parity: dict[str, Parity] = {}
    """Compared with `network`, the exported source network; with other kernels on the same file, by their name; and
    with its twins, the variants that have the same integers."""
    interface: Interface | None = None
    """Inputs and outputs of the file; None in older scorecards."""
    layer_sqnr_db: dict[str, float] = {}
    """Layer, in the order in which they run -> signal-to-quantization-noise ratio of its output in decibels, 200 if
    there is no noise. Compared with the exported source network on calibration images. Empty if not measured."""
    lineage: Lineage
    notes: list[str] = []


class Scorecards(Record):
    """The content of `reports/scorecards.json`."""

    schema_: int = 1
    pipeline: str
    """Digest of the models, the data and the params."""
    machine: dict[str, Any]
    """The machine of the benchmark, as `latency.describe_machine` describes it."""
    data: dict[str, Any]
    """The data manifest."""
    scorecards: list[Scorecard]
    """Of the variants that have a model, in the order of `params.yaml`."""
    refused: dict[str, Refusal] = {}
    """Variant -> why it has no model."""

    model_config = ConfigDict(alias_generator=lambda name: name.rstrip("_"), populate_by_name=True)

    @property
    def classes(self) -> list[str]:
        """Names of the classes in label order; their numbers if the data have no names."""
        count = len(self.scorecards[0].quality.per_class_recall)
        names = self.data.get("classes")
        return [str(name) for name in (names if isinstance(names, list) and len(names) == count else range(count))]

    def card(self, variant: str) -> Scorecard:
        """The scorecard of `variant`.

        Raises:
            VariantRefused: the variant was refused and has no model.
            ModelError: the variant was not measured. The message lists those that were.
        """
        for card in self.scorecards:
            if card.variant == variant:
                return card
        if variant in self.refused:
            raise VariantRefused(f"{variant} is refused and has no model. {self.refused[variant]}")
        known = ", ".join(card.variant for card in self.scorecards)
        raise ModelError(f"Unknown variant '{variant}'. Measured: {known}. Add it to params.yaml and run dvc repro.")


def load_scorecards(path: Path) -> Scorecards:
    """Read scorecards from a file such as `reports/scorecards.json`.

    Raises:
        ModelError: the file is missing, or it is not of this schema.
    """
    try:
        return json_file.read_record(path, Scorecards)
    except FileNotFoundError:
        raise ModelError(f"No {path} yet. Run dvc repro first.") from None
    except json_file.Unreadable as error:
        raise ModelError(f"{path} is not a scorecard file of schema 1 ({error}). Run dvc repro again.") from None
