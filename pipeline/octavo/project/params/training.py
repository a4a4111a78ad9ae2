"""How a network is trained: keys of the entries of `networks` and `finetuned`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from octavo.project.params.section import ClassName, Model

Part = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(gt=0, le=1e6, strict=True)]


def _named(value: Any) -> Any:
    """A name alone counts as a mapping with that name."""
    return {"name": value} if isinstance(value, str) else value


class Optimizer(Model):
    """How each step changes the weights."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    momentum: Part = 0.0
    """For rmsprop and sgd: the share of the last step that is added to the next one."""
    nesterov: bool = False
    """For sgd with momentum."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """For adamw and sgd: the share by which weights shrink in each step, times the learning rate. By default 0.004 for
    adamw, as in Keras, and none for sgd."""

    @model_validator(mode="after")
    def _keys_fit_the_name(self) -> "Optimizer":
        if self.momentum and self.name not in ("rmsprop", "sgd"):
            raise ValueError(f"momentum is for rmsprop and sgd, and {self.name} has its own. Remove momentum")
        if self.nesterov and not (self.name == "sgd" and self.momentum):
            raise ValueError("nesterov is for sgd with momentum. Remove nesterov, or write name: sgd, momentum: 0.9")
        if self.weight_decay and self.name not in ("adamw", "sgd"):
            raise ValueError(f"weight_decay is for adamw and sgd, got {self.name}. Remove it, or write name: adamw")
        return self


class Schedule(Model):
    """How the learning rate changes while the network is trained."""

    name: Literal["constant", "cosine", "exponential", "steps"] = "constant"
    """`cosine`: down to `floor` along half a wave. `exponential`: times `factor` after each epoch. `steps`: times
    `factor` after each of `epochs`."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """For cosine: epochs in which the learning rate rises from 0."""
    floor: Part = 0.0
    """For cosine: the learning rate at the end, as a share of `learning_rate`."""
    factor: Part = 0.0
    """For exponential and steps."""
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """For steps: numbers of epochs, counted from 1."""

    @model_validator(mode="after")
    def _keys_fit_the_name(self) -> "Schedule":
        owners = {"warmup_epochs": "cosine", "floor": "cosine", "factor": "exponential, steps", "epochs": "steps"}
        for key, names in owners.items():
            if getattr(self, key) and self.name not in names.split(", "):
                raise ValueError(f"{key} is for {names.replace(', ', ' and ')}, got {self.name}. Remove {key}")
        if self.name in ("exponential", "steps") and not self.factor:
            raise ValueError(f"{self.name} needs factor, between 0 and 1, such as 0.5")
        if self.name == "steps" and (not self.epochs or list(self.epochs) != sorted(set(self.epochs))):
            raise ValueError(f"steps needs epochs that rise, such as [10, 20], got {list(self.epochs)}")
        return self


class EarlyStopping(Model):
    """When the training ends before `epochs`. The weights of the best epoch are kept."""

    patience: Annotated[int, Field(ge=1, le=100_000)]
    """Epochs without a better one until the training stops."""
    by: Literal["loss", "accuracy"] = "loss"
    """What is better: a smaller loss or a larger accuracy on the selection split."""


class Augmentation(Model):
    """Random changes of each training image, new in each epoch. Other splits stay as they are."""

    flip: Literal["horizontal", "vertical", "both"] | None = None
    shift: Part = 0.0
    """Largest shift, as a share of height and width."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in degrees, either way."""
    zoom: Part = 0.0
    """Largest change of size, as a share of it, either way."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest amount that is added to all pixels of an image or taken from them, as a share of the pixels' range."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Standard deviation of the noise on each value, as a share of the values' range."""

    @model_validator(mode="after")
    def _changes_something(self) -> "Augmentation":
        if not any(getattr(self, key) for key in Augmentation.model_fields):
            raise ValueError(f"Give at least one of {', '.join(Augmentation.model_fields)} a value, or leave it out")
        return self

    @property
    def for_images(self) -> list[str]:
        """The keys in use that only images can have."""
        return [key for key in Augmentation.model_fields if key != "noise" and getattr(self, key)]


ClassWeights = Annotated[
    Annotated[Literal["balanced"], Tag("name")] | Annotated[dict[ClassName, Weight], Tag("weight")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "weight"),
]


class Fit(Model):
    """How long and how fast a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Each epoch is one row of the learning curve and one point of its plots."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
    """If train has fewer images, each epoch is one step on all of them."""
    learning_rate: Annotated[float, Field(ge=1e-9, le=1)] = 0.001
    """Adam changes a weight by about this much per step. 1e-9 is too small for float32; 1 is as large as a weight."""
    optimizer: Annotated[Optimizer, BeforeValidator(_named)] = Optimizer()
    schedule: Annotated[Schedule, BeforeValidator(_named)] = Schedule()
    early_stopping: EarlyStopping | None = None
    augmentation: Augmentation | None = None
    class_weights: ClassWeights | None = None
    """How much an example of each class counts in the loss, by the class's name; 1 where none is given. `balanced`:
    so that all classes count alike, whatever their numbers of examples."""

    @model_validator(mode="after")
    def _parts_fit_the_epochs(self) -> "Fit":
        if self.early_stopping and self.early_stopping.patience >= self.epochs:
            raise ValueError(
                f"early_stopping.patience is {self.early_stopping.patience}, and training ends after {self.epochs} "
                "epochs. Give fewer"
            )
        last = max((self.schedule.warmup_epochs, *self.schedule.epochs))
        if last >= self.epochs:
            raise ValueError(f"schedule names epoch {last}, and training ends after {self.epochs}. Give earlier ones")
        return self
