"""`params.yaml` as frozen pydantic models with the same structure. Unknown keys are refused."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError, model_validator

from octavo.project.errors import ParamsError, did_you_mean, known_are
from octavo.project.files import yaml_file
from octavo.project.params.data import Data
from octavo.project.params.networks import NAME, Brought, Finetuned, Network
from octavo.project.params.nightly import Nightly
from octavo.project.params.policy import Policy
from octavo.project.params.registry import Registry
from octavo.project.params.section import Model, faults
from octavo.project.params.variants import VARIANT_NAME, Benchmark, Variant

PARAMS = Path("params.yaml")
FORMER = {
    "train": "networks: {fp32: {build: …, epochs: …, batch_size: …, seed: …}}",
    "qat": "finetuned: {control: {from: fp32, by: continue, epochs: …, …}, qat: {from: fp32, by: qat, epochs: …, …}}",
}
"""Sections of earlier releases -> what to write instead."""


class Params(Model):
    """The whole file `params.yaml`."""

    data: Data
    networks: dict[str, Network]
    finetuned: dict[str, Finetuned] = {}
    brought: dict[str, Brought] = {}
    baseline: str
    variants: dict[str, Variant]
    benchmark: Benchmark
    policy: Policy
    registry: Registry
    nightly: Nightly = Nightly()

    @model_validator(mode="after")
    def _networks_lead_to_one_that_is_built(self) -> "Params":
        home: dict[str, str] = {}
        for section in ("networks", "finetuned", "brought"):
            for name in getattr(self, section):
                if not NAME.fullmatch(name):
                    raise ValueError(
                        f"the name of network '{name}' must be lowercase letters, digits and '_', starting with a "
                        "letter"
                    )
                if name in home:
                    raise ValueError(f"network '{name}' is in both {home[name]} and {section}: rename one of them")
                home[name] = section
        for name, network in self.finetuned.items():
            if network.parent not in home:
                raise ValueError(f"finetuned.{name}.from is '{network.parent}'.{known_are(network.parent, home)}")
            if network.parent in self.brought and not self.brought[network.parent].can_be_trained:
                raise ValueError(
                    f"finetuned.{name}.from is '{network.parent}', which is {self.brought[network.parent].origin}. "
                    "Only a network brought as a Keras file can be trained: others have no Keras configuration. Remove "
                    "the entry, or start from another"
                )
            if self.is_quantization_aware(network.parent):
                raise ValueError(f"finetuned.{name}.from is '{network.parent}', which already has fake quantization")
        for name in self.finetuned:
            if self.root_name(name) in self.finetuned:
                raise ValueError(f"finetuned.{name}.from leads in a circle, and never to an entry of networks")
        return self

    @model_validator(mode="after")
    def _networks_take_the_encoding(self) -> "Params":
        encoding = self.data.encoding
        if self.networks and (encoding.layout, encoding.dtype) != ("stored", "float32"):
            raise ValueError(
                f"data.encoding has layout '{encoding.layout}' and dtype '{encoding.dtype}', and network "
                f"'{min(self.networks)}' of networks takes float32 with the channels last. Remove layout and dtype, or "
                "remove networks"
            )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> "Params":
        known = self.sources
        for name, variant in self.variants.items():
            if not VARIANT_NAME.fullmatch(name):
                raise ValueError(f"the name of variant '{name}' must have the form <format>_<precision>[_<method>]")
            if variant.source not in known:
                raise ValueError(f"variants.{name}.source is '{variant.source}'.{known_are(variant.source, known)}")
        if self.baseline not in self.variants:
            listed = ", ".join(self.variants) or "none"
            near = did_you_mean(self.baseline, self.variants)
            raise ValueError(f"baseline '{self.baseline}' is not among the variants: {listed}.{near}".removesuffix("."))
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all networks."""
        return (*self.networks, *self.finetuned, *self.brought)

    def variant(self, name: str) -> Variant:
        """Look up a variant by name.

        Raises:
            ParamsError: there is no such variant; the message lists the known ones.
        """
        if name not in self.variants:
            raise ParamsError(f"Unknown variant '{name}'.{known_are(name, self.variants)}. Add it to {PARAMS}.")
        return self.variants[name]

    def root_name(self, network: str) -> str:
        """The first network of the line that leads to `network`: one that is built here, or brought."""
        *_, first = self._line(network)
        return first

    def root(self, network: str) -> Network | Brought:
        """The network from which `network` was fine-tuned, directly or not, built here or brought; or `network` itself
        if it was not fine-tuned.
        """
        first = self.root_name(network)
        return self.brought[first] if first in self.brought else self.networks[first]

    def finetunings(self, network: str) -> list[Finetuned]:
        """The fine-tuning steps that lead to `network`, in order; empty if it was not fine-tuned."""
        return [self.finetuned[name] for name in self._line(network) if name in self.finetuned][::-1]

    def is_quantization_aware(self, network: str) -> bool:
        """Whether `network` was trained with fake quantization."""
        return network in self.finetuned and self.finetuned[network].by == "qat"

    def control(self, network: str) -> str | None:
        """The float network to compare a quantization-aware one with: same start, same further training, in float.

        None if there is no such network, or if `network` is not quantization-aware.
        """
        if not self.is_quantization_aware(network):
            return None
        wanted = self.finetuned[network]
        same = (
            name for name, other in self.finetuned.items() if other.by == "continue" and other.equals_budget(wanted)
        )
        return next(same, None)

    def needed(self) -> frozenset[str]:
        """The networks that variants need: their sources, the controls, and all networks that these start from.

        Others are not built.
        """
        sources = {variant.source for variant in self.variants.values()}
        controls = {control for source in sources if (control := self.control(source))}
        return frozenset(each for name in sources | controls for each in self._line(name))

    def why_not_needed(self, network: str) -> str | None:
        """The sentence that says why no variant needs `network`; None if one does."""
        if network in self.needed():
            return None
        users = [user for user in self.finetuned if network in (self.control(user), self.finetuned[user].parent)]
        sources = " or ".join(f"'{each}'" for each in (network, *users))
        done = "brought in" if network in self.brought else "trained"
        return f"No variant in {PARAMS} has source {sources}, so network '{network}' is not {done}."

    def _line(self, network: str) -> Iterator[str]:
        """The network, the network it starts from, and so on. If they form a circle, the line ends after one turn."""
        for _ in range(len(self.finetuned) + 1):
            yield network
            if network not in self.finetuned:
                return
            network = self.finetuned[network].parent


def load_params(path: Path = PARAMS) -> Params:
    """Read and check `params.yaml`.

    Raises:
        ParamsError: the file is missing, unreadable or not YAML, or has a wrong value or an unknown or repeated key.
    """
    try:
        found = yaml_file.read(path)
    except FileNotFoundError:
        raise ParamsError(f"No {path} in {Path.cwd()}. Run octavo in the project's root.") from None
    if not isinstance(found, dict):
        what = "is empty" if found is None else f"holds a {type(found).__name__}"
        raise ParamsError(f"{path} {what}. It needs the sections {', '.join(Params.model_fields)}.")
    for section, instead in FORMER.items():
        if section in found:
            raise ParamsError(f"{path} has the section '{section}' of an earlier release. Write instead: {instead}.")
    try:
        return Params.model_validate(found)
    except ValidationError as error:
        raise ParamsError(f"{path}: {faults(error)}.") from None
