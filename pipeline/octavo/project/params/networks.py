"""Sections `networks`, `finetuned` and `brought`: the networks from which variants are made."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from octavo.project.errors import ParamsError, did_you_mean
from octavo.project.params import registry_uri
from octavo.project.params.section import FUNCTION, Model, Seed, Threads
from octavo.project.params.training import Fit

BUILT_IN = "octavo.training.networks"
"""The module with Octavo's own networks."""
BUILT_IN_NAMES = ("small_cnn", "cnn4", "depthwise_cnn", "resnet8")
"""Octavo's own networks. Their module imports TensorFlow, so the names are here."""
KERAS_DOOR = "octavo.training.keras_files.door"
SAVED_MODEL_DOOR = "octavo.training.keras_files.saved_models.door"
DOORS = {".onnx": "octavo.brought.onnx_file", ".keras": KERAS_DOOR, ".h5": KERAS_DOOR}
"""Suffix of a file -> the module that brings it in. A path without suffix is the folder of a SavedModel."""
SAVED_MODEL = "saved_model.pb"
"""The file in a folder that makes it a SavedModel."""
WITH_TENSORFLOW = (KERAS_DOOR, SAVED_MODEL_DOOR)
"""Modules that read networks with TensorFlow. These networks have a SavedModel, which TensorFlow's converter takes."""
TRAINABLE = (".keras", ".h5")
"""Suffixes of files whose networks can be trained on."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""A network's name is also the name of a folder and a part of a stage's name."""


def _file(path: Path) -> Path:
    if path.suffix not in (*DOORS, ""):
        advice = f"Give '{path.parent}'" if path.name == SAVED_MODEL else "Export the network to ONNX"
        raise ValueError(
            f"Input should be a file in one of {', '.join(DOORS)}, or the folder of a SavedModel, without '.' in its "
            f"name, got '{path}'. {advice}"
        )
    return path


def door(path: Path) -> str:
    """The dotted name of the module that brings in a network at this path."""
    return DOORS.get(path.suffix, SAVED_MODEL_DOOR)


def _uri(text: str) -> str:
    return str(registry_uri.parsed(text))


def builder(name: str) -> str:
    """Return the name of a builder unchanged, if it can be one.

    Raises:
        ValueError: it is neither one of Octavo's networks nor `module:function`.
    """
    if name not in BUILT_IN_NAMES and not FUNCTION.fullmatch(name):
        known = ", ".join(BUILT_IN_NAMES)
        raise ValueError(
            f"Unknown network '{name}'.{did_you_mean(name, BUILT_IN_NAMES)} Known: {known}, or "
            "module:function of your own"
        )
    return name


def _module_of(build: str) -> str:
    """The dotted name of the module with a builder."""
    module, separator, _ = build.partition(":")
    return module if separator else BUILT_IN


def _optional_builder(name: str) -> str:
    return builder(name) if name else name


class Network(Fit):
    """A float network that the pipeline builds and trains."""

    build: Annotated[str, AfterValidator(builder)]
    """Name of one of Octavo's builders, or `module:function` of your own."""
    seed: Seed = 0
    threads: Threads = 1
    """The result depends on it: weights are byte-identical only with the same number of threads."""

    @property
    def module(self) -> str:
        """The dotted name of the module that builds the network."""
        return _module_of(self.build)

    @property
    def modules(self) -> tuple[str, ...]:
        """The dotted names of all modules that make the network."""
        return (self.module,)

    @property
    def origin(self) -> str:
        """Where the network comes from, for people."""
        return self.build


class Brought(Model):
    """A network that was trained elsewhere, and is used as it is."""

    path: Annotated[Path, AfterValidator(_file)] | None = Field(default=None, alias="file")
    """A float network: ONNX, a Keras file or the folder of a SavedModel. External data of ONNX, if there are any, have
    names that begin with the file's name."""
    uri: Annotated[str, AfterValidator(_uri)] | None = None
    """Of a model in MLflow's registry, instead: `models:/NAME@ALIAS` or `models:/NAME/VERSION`. `octavo pin` then
    writes `file` and the two that follow."""
    version: PositiveInt | None = None
    """The version that the file is of."""
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    """Of the file, as `octavo.brought.pinned.digest`."""
    build: Annotated[str, AfterValidator(_optional_builder)] = ""
    """If the `.h5` file holds weights alone: the function that builds the network, as in `networks`."""
    seed: Seed = 0
    """For networks that are fine-tuned from it."""
    threads: Threads = 1
    """As `seed`."""

    @model_validator(mode="after")
    def _weights_are_built(self) -> "Brought":
        if self.build and (self.uri or self.path is None or self.path.suffix != ".h5"):
            raise ValueError(f"build is for weights in an .h5 file, got '{self.uri or self.path}'. Remove build")
        return self

    @model_validator(mode="after")
    def _has_a_file_or_a_uri(self) -> "Brought":
        if self.uri is None and self.path is None:
            raise ValueError("Field required: file, or uri")
        pin = {"version": self.version, "sha256": self.sha256}
        given = [name for name, value in pin.items() if value is not None]
        if given and self.uri is None:
            raise ValueError(f"{given[0]} is for an entry with a uri. Remove it, or add uri: {registry_uri.FORMS}")
        if given and (len(given) < len(pin) or self.path is None):
            raise ValueError("version, sha256 and file go together. Remove version and sha256, then run octavo pin")
        return self

    @property
    def file(self) -> Path:
        """The network's file.

        Raises:
            ParamsError: it is in a registry, and `octavo pin` has not fetched it yet.
        """
        if self.path is None:
            raise ParamsError(f"{self.uri} is not pinned to a version yet. Run octavo pin.")
        return self.path

    @property
    def modules(self) -> tuple[str, ...]:
        """The dotted names of all modules that make the network."""
        return (self.module, _module_of(self.build)) if self.build else (self.module,)

    @property
    def can_be_trained(self) -> bool:
        """Whether networks can be fine-tuned from it, as far as is known: a model that is not fetched yet may be."""
        return self.path is None or self.path.suffix in TRAINABLE

    @property
    def module(self) -> str:
        """The dotted name of the module that brings it in."""
        return door(self.file)

    @property
    def origin(self) -> str:
        """Where the network comes from, for people."""
        version = f", version {self.version}" if self.version else ""
        return f"brought as {self.uri or self.path}{version}"


class Finetuned(Fit):
    """A network that starts with the weights of another one. It uses the seed and the threads of the first network."""

    parent: Annotated[str, Field(alias="from")]
    """The network whose weights it starts with."""
    by: Literal["continue", "qat"]
    """Continue the training in float, or train with fake quantization."""

    def equals_budget(self, other: "Finetuned") -> bool:
        """Whether both start from the same network, and are trained in the same way."""
        return all(getattr(self, field) == getattr(other, field) for field in ("parent", *Fit.model_fields))
