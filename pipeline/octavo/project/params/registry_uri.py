"""Addresses of models in MLflow's registry, as `brought` names them. They hold no host and no password."""

import re
from dataclasses import dataclass

URI = re.compile(r"models:/(?P<model>[^/:@'?#%\x00-\x1f]+)(@(?P<alias>[A-Za-z0-9_-]+)|/(?P<number>[1-9][0-9]{0,8}))")
FORMS = "models:/NAME@ALIAS or models:/NAME/VERSION"


@dataclass(frozen=True)
class RegistryUri:
    """The name of a registered model, and an alias or the number of a version."""

    model: str
    alias: str | None
    version: int | None

    def __str__(self) -> str:
        return f"models:/{self.model}@{self.alias}" if self.alias else f"models:/{self.model}/{self.version}"


def parsed(text: str) -> RegistryUri:
    """The parts of an address.

    Raises:
        ValueError: it has another form, for example that of a run, a bucket or a server.
    """
    found = URI.fullmatch(text)
    if found is None:
        raise ValueError(f"Input should be {FORMS}, got {text!r}. Register the model, then name it so")
    number = found["number"]
    return RegistryUri(found["model"], found["alias"], int(number) if number else None)
