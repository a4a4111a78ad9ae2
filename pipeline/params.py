"""`params.yaml` as frozen pydantic models, in the YAML's own shape. Unknown keys are fatal."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from pipeline.errors import ParamsError

PARAMS = Path("params.yaml")
NETWORKS = ("fp32", "control", "qat")
MIN_SQNR_DB = 10.0
"""Default of `Variant.min_sqnr_db`: the noise has a tenth of the outputs' power."""
HOME = Path("data")
"""What `data.path` says where the source reads none: it is a dependency of `prepare`, so DVC wants it to exist."""

VARIANT_NAME = re.compile(r"(?P<format>onnx|litert)_(?P<precision>[a-z]+[0-9]+)(?:_(?P<method>[a-z0-9_]+))?")
"""`<format>_<precision>[_<method>]`, for example `onnx_fp32` or `litert_int8_static`."""

Share = Annotated[float, Field(gt=0, lt=1)]
ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]
Figure = Literal["latency", "size", "accuracy"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Model):
    source: Literal["digits", "mnist", "fashion_mnist", "npz", "images"]
    path: Path | None = None
    """The archive of `npz`, the folder of `images`; not read by the others."""
    image_size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width that `images` are resized to; without it all must have one size."""
    test: Share = 0.2
    """About this share of the images is held out as the test split, where the source has none of its own."""
    selection: Share = 0.1
    """About this share of the rest is held out for every choice made while building."""
    calibration: PositiveInt = 500
    """Images of train that calibration sees."""
    seed: int = 0

    @model_validator(mode="after")
    def _path_goes_with_source(self) -> "Data":
        if self.source in ("npz", "images"):
            if self.path is None:
                raise ValueError(f"source '{self.source}' needs a path")
        elif self.path not in (None, HOME):
            raise ValueError(
                f"source '{self.source}' takes no path, leave it at '{HOME}'; '{self.path}' is for npz or images"
            )
        return self


class Fit(Model):
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)] = 0.001


class Train(Fit):
    network: str
    """A builder's name, or `module:function` of your own."""
    seed: int = 0
    threads: PositiveInt = 1
    """Part of the result: weights are byte-identical at the same thread count only."""


class Variant(Model):
    source: Literal["fp32", "control", "qat"]
    recipe: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    options: dict[str, Any] = {}
    min_sqnr_db: Annotated[float, Field(ge=-200, le=200)] = MIN_SQNR_DB
    """Signal-to-quantization-noise ratio of the outputs, in decibels, below which the file is refused."""


class Benchmark(Model):
    batches: tuple[PositiveInt, ...] = (1, 64)
    rounds: Annotated[int, Field(ge=10)] = 30
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _single_images_are_timed(self) -> "Benchmark":
        if 1 not in self.batches:
            raise ValueError(f"batches are {list(self.batches)}, without 1, which the policy judges")
        return self


class Policy(Model):
    """What a variant must meet to be promoted, each figure against the baseline's."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided: with which accuracy is shown to be kept, and recall to be lost."""
    max_accuracy_drop: Share
    """The non-inferiority margin."""
    max_recall_drop: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of any one class."""
    recall_drops: dict[ClassName, Annotated[float, Field(ge=0, lt=1)]] = {}
    """Classes with a limit of their own."""
    max_size_ratio: Annotated[float, Field(gt=0)]
    max_latency_ratio: Annotated[float, Field(gt=0)]
    min_integer_compute_share: Annotated[float, Field(ge=0, le=1)] = 0
    """Of the multiply-accumulates, as the proof found them."""
    prefer: tuple[Figure, ...] = ("latency", "size", "accuracy")
    """By what the best of those that pass is chosen; the next figure decides where one is equal."""

    @model_validator(mode="after")
    def _preferences_are_named_once(self) -> "Policy":
        if len(set(self.prefer)) < len(self.prefer):
            raise ValueError(f"prefer is {list(self.prefer)}, and can name each figure once")
        return self


class Registry(Model):
    experiment: str
    model: str
    license: str | None = None
    """Of the models, as their cards state it; best an SPDX expression."""
    intended_use: str | None = None
    """What the models are for and what not, in your words, for their cards."""


class Drift(Model):
    """When new images are too unlike the old to train on without somebody looking."""

    false_alarms: Annotated[float, Field(ge=0.0001, le=0.1)] = 0.001
    """Share of nights, at most, on which images like the old are refused all the same."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Total variation distance that is put up with, however certain: the share of images that would have to differ."""


class Notify(Model):
    """Whom to tell when a night fails, and when one is well again; each gets the message as JSON."""

    command: tuple[str, ...] = ()
    """A program and its arguments, no shell; the message is its input."""
    url: str | None = None
    """A web hook. One that is a secret is `OCTAVO_NOTIFY_URL` in the environment instead."""


class Keep(Model):
    """How long what nights leave behind is kept. What was ever promoted is kept whatever its age."""

    days: PositiveInt = 30
    """Runs and versions in MLflow, logs, and trials of searches."""
    commits: PositiveInt = 10
    """Commits whose files DVC's cache keeps, beside the workspace, tags and experiments."""


class Nightly(Model):
    fetch: tuple[str, ...] = ()
    """A program and its arguments that bring new data to `data.path`, before anything else."""
    drift: Drift = Drift()
    notify: Notify = Notify()
    heartbeat: str | None = None
    """A URL that is asked for after each night without trouble; `OCTAVO_HEARTBEAT_URL` wins."""
    keep: Keep = Keep()


class Params(Model):
    data: Data
    train: Train
    qat: Fit
    baseline: str
    variants: dict[str, Variant]
    benchmark: Benchmark
    policy: Policy
    registry: Registry
    nightly: Nightly = Nightly()

    @model_validator(mode="after")
    def _names_are_known(self) -> "Params":
        for name in self.variants:
            if not VARIANT_NAME.fullmatch(name):
                raise ValueError(f"variant '{name}' is not named <format>_<precision>[_<method>]")
        if self.baseline not in self.variants:
            raise ValueError(f"baseline '{self.baseline}' is not among the variants: {', '.join(self.variants)}")
        return self

    def variant(self, name: str) -> Variant:
        """The variant called `name`.

        Raises:
            ParamsError: no such variant; the message lists the known ones.
        """
        if name not in self.variants:
            raise ParamsError(f"Unknown variant '{name}'. Known: {', '.join(self.variants)}. Add it to {PARAMS}.")
        return self.variants[name]


def load_params(path: Path = PARAMS) -> Params:
    """Read and check `params.yaml`.

    Raises:
        ParamsError: the file is missing, not YAML, or has a wrong or unknown key.
    """
    try:
        return Params.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ParamsError(f"No {path} in {Path.cwd()}. Run octavo in the project's root.") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ParamsError(f"{path}: {faults(error)}.") from None


def faults(error: ValidationError) -> str:
    """What pydantic found, as one line: where, and what is wrong there."""
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'params'}: {fault['msg']}" for fault in error.errors())
