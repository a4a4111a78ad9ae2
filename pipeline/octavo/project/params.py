"""`params.yaml` as frozen pydantic models, in the YAML's own shape. Unknown keys are fatal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from octavo.project.errors import ParamsError
from octavo.project.files import yaml_file

PARAMS = Path("params.yaml")
NETWORKS = ("fp32", "control", "qat")
MIN_SQNR_DB = 10.0
"""Default of `Variant.min_sqnr_db`: the noise has a tenth of the outputs' power."""
HOME = Path("data")
"""What `data.path` says where the source reads none: it is a dependency of `prepare`, so DVC wants it to exist."""

VARIANT_NAME = re.compile(r"(?P<format>onnx|litert)_(?P<precision>[a-z]+[0-9]+)(?:_(?P<method>[a-z0-9_]+))?")
"""`<format>_<precision>[_<method>]`, for example `onnx_fp32` or `litert_int8_static`."""

BUILT_IN = "octavo.training.networks"
"""The module of the networks that come with Octavo."""

ALIAS = re.compile(r"(?!v\d+$)(?!latest$)[a-z0-9_-]{1,255}", re.ASCII)
OWN_ALIASES = ("champion", "previous", "anchor")

NETWORK = re.compile(r"[A-Za-z_]\w*((\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?")

Share = Annotated[float, Field(gt=0, lt=1)]
ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]
Figure = Literal["latency", "size", "accuracy"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy and Keras take 32 bits."""
Threads = Annotated[int, Field(ge=1, le=1024)]
"""No machine has more cores; a process that asks for many more threads crashes."""
Side = Annotated[int, Field(ge=1, le=8192)]
"""Pixels; an image of 8192 x 8192 already takes 800 MB in float32."""
Url = Annotated[str, Field(pattern=r"^https?://")]


def _network_name(name: str) -> str:
    if not NETWORK.fullmatch(name):
        raise ValueError("Input should be the name of a network that comes with Octavo, or module:function of your own")
    return name


def _model_name(name: str) -> str:
    """MLflow takes neither / nor : in the name of a registered model, and its searches no quote."""
    if not name.strip() or set(name) & set("/:'") or not name.isprintable() or len(name) > 200:
        raise ValueError("Input should be 1 to 200 characters without / : and '")
    return name


class Model(BaseModel):
    """Unknown keys, NaN, infinity, and true or false in place of a number are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true as 1, also within a list."""
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if kinds <= {int, float, type(None)} and any(isinstance(each, bool) for each in _items(value)):
            raise ValueError(f"Input should be {'a number' if isinstance(value, bool) else 'numbers'}")
        return value


class Data(Model):
    source: Literal["digits", "mnist", "fashion_mnist", "npz", "images"]
    path: Path | None = None
    """The archive of `npz`, the folder of `images`; not read by the others."""
    image_size: tuple[Side, Side] | None = None
    """Height and width that `images` are resized to; without it all must have one size."""
    test: Share = 0.2
    """About this share of the images is held out as the test split, where the source has none of its own."""
    selection: Share = 0.1
    """About this share of the rest is held out for every choice made while building."""
    calibration: PositiveInt = 500
    """Images of train that calibration sees."""
    duplicates: Literal["refuse", "drop_from_train", "allow"] | None = None
    """What becomes of images whose pixels stand in two of train, selection and test; by default `allow` for published
    sets, which are compared as they are, else `drop_from_train`."""
    seed: Seed = 0

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
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Each is a row of the curve, and a point of its plots."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
    """Where train has fewer images, each epoch is one step on all of them."""
    learning_rate: Annotated[float, Field(ge=1e-9, le=1)] = 0.001
    """About what Adam changes a weight by at each step: 1e-9 is lost in float32, 1 is as large as weights are."""


class Train(Fit):
    network: Annotated[str, AfterValidator(_network_name)]
    """A builder's name, or `module:function` of your own."""
    seed: Seed = 0
    threads: Threads = 1
    """Part of the result: weights are byte-identical at the same thread count only."""

    @property
    def module(self) -> str:
        """The dotted name of the module that builds the network."""
        module, separator, _ = self.network.partition(":")
        return module if separator else BUILT_IN


class Variant(Model):
    source: Literal["fp32", "control", "qat"]
    recipe: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    options: dict[str, Any] = {}
    min_sqnr_db: Annotated[float, Field(ge=-200, le=200)] = MIN_SQNR_DB
    """Signal-to-quantization-noise ratio of the outputs, in decibels, below which the file is refused."""


class Benchmark(Model):
    batches: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = (1, 64)
    """Images at once; where the selection split has fewer, they are repeated. 4096 of 224 x 224 x 3 take 2.5 GB."""
    rounds: Annotated[int, Field(ge=10, le=10_000)] = 30
    """Each takes some 20 ms a variant and batch: 10,000 with ten variants are an hour."""
    threads: Threads = 1

    @model_validator(mode="after")
    def _single_images_are_timed(self) -> "Benchmark":
        if 1 not in self.batches:
            raise ValueError(f"batches are {list(self.batches)}, without 1, which the policy judges")
        if len(set(self.batches)) < len(self.batches):
            raise ValueError(f"batches are {list(self.batches)}, and can name each size once")
        return self


class Policy(Model):
    """What a variant must meet to be promoted, each figure against the baseline's."""

    confidence: Annotated[float, Field(gt=0.5, le=0.999999)] = 0.95
    """One-sided: with which accuracy is shown to be kept, recall to be lost, and the baseline to beat the majority
    class. Nearer to 1 than this the bounds are not exact: they leave out chances below 1e-8."""
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
    prefer: Annotated[tuple[Figure, ...], Field(min_length=1)] = ("latency", "size", "accuracy")
    """By what the best of those that pass is chosen; the next figure decides where one is equal."""
    approvals: Annotated[int, Field(ge=0, le=9)] = 0
    """People other than who asks for a promotion who have to approve it. The server's own file decides."""

    @model_validator(mode="after")
    def _preferences_are_named_once(self) -> "Policy":
        if len(set(self.prefer)) < len(self.prefer):
            raise ValueError(f"prefer is {list(self.prefer)}, and can name each figure once")
        return self


def _alias_name(name: str) -> str:
    """MLflow takes letters, digits, `_` and `-`; a `v` with a number it takes for a version."""
    if not ALIAS.fullmatch(name) or name in OWN_ALIASES or name != name.casefold():
        raise ValueError(
            "Input should be an alias in small letters, digits, '_' and '-', other than champion, previous and anchor"
        )
    return name


class GuardedAliases(BaseModel):
    """What of `registry` the server with the gate reads; the rest of it is for clients."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    guarded_aliases: tuple[Annotated[str, AfterValidator(_alias_name)], ...] = ()
    """Aliases that on a server with the gate point only at versions that are or were champion."""


class Registry(Model):
    guarded_aliases: tuple[Annotated[str, AfterValidator(_alias_name)], ...] = ()
    """As in `GuardedAliases`. The server's own file decides; `octavo audit` looks at these."""
    experiment: Annotated[str, Field(min_length=1, max_length=400)]
    """MLflow takes 500 characters; the nights and the audit log add some."""
    model: Annotated[str, AfterValidator(_model_name)]
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
    url: Url | None = None
    """A web hook. One that is a secret is `OCTAVO_NOTIFY_URL` in the environment instead."""


class Keep(Model):
    """How long what nights leave behind is kept. What was ever promoted is kept whatever its age."""

    days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Runs and versions in MLflow, logs, and trials of searches."""
    commits: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Commits whose files DVC's cache keeps, beside the workspace, tags and experiments."""


class Nightly(Model):
    fetch: tuple[str, ...] = ()
    """A program and its arguments that bring new data to `data.path`, before anything else."""
    drift: Drift = Drift()
    notify: Notify = Notify()
    heartbeat: Url | None = None
    """A URL that is asked for after each night without trouble; `OCTAVO_HEARTBEAT_URL` wins."""
    false_promotions: Annotated[float, Field(ge=0.001, le=0.5)] | None = 0.05
    """Chance, at most, that in 365 nights any promotes a variant whose true loss is the margin or more, though all of
    them judge by the same test images; null: each night judges with `policy.confidence`, as a promotion by hand."""
    retry: Annotated[float, Field(ge=0, le=20)] = 6
    """Hours after its time for which a night is tried again that was killed, or that a service out of reach ended."""
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
            known = ", ".join(self.variants) or "none"
            raise ValueError(f"baseline '{self.baseline}' is not among the variants: {known}")
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
        ParamsError: the file is missing, cannot be read, is not YAML, or has a wrong, unknown or repeated key.
    """
    try:
        found = yaml_file.read(path)
    except FileNotFoundError:
        raise ParamsError(f"No {path} in {Path.cwd()}. Run octavo in the project's root.") from None
    if not isinstance(found, dict):
        what = "is empty" if found is None else f"holds a {type(found).__name__}"
        raise ParamsError(f"{path} {what}. It needs the sections {', '.join(Params.model_fields)}.")
    try:
        return Params.model_validate(found)
    except ValidationError as error:
        raise ParamsError(f"{path}: {faults(error)}.") from None


def faults(error: ValidationError) -> str:
    """What pydantic found, as one line: where, what is wrong there, and what was got where that is short."""
    return "; ".join(map(_fault, error.errors()))


def _fault(fault: Any) -> str:
    got = repr(fault["input"])
    said = fault["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    for pythons, yamls in (("a valid tuple", "a list"), ("a valid dictionary", "a mapping"), ("Tuple", "List")):
        said = said.replace(pythons, yamls)
    shown = isinstance(fault["input"], str | int | float | list) and len(got) <= 60 and ", got " not in said
    return f"{'.'.join(map(str, fault['loc'])) or 'params'}: {said}{f', got {got}' if shown else ''}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types at the ends of a type: of `tuple[int, ...] | None` these are int and None."""
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    if not inner:
        yield annotation
    for each in inner:
        yield from _kinds(each)


def _items(value: Any) -> Iterator[Any]:
    """The values at the ends of nested lists."""
    if not isinstance(value, list | tuple):
        yield value
        return
    for each in value:
        yield from _items(each)
