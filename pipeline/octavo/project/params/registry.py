"""Section `registry`: names in MLflow."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

from octavo.project.params.section import Model

ALIAS = re.compile(r"(?!v\d+$)(?!latest$)[a-z0-9_-]{1,255}", re.ASCII)
OWN_ALIASES = ("champion", "previous", "anchor")


def _model_name(name: str) -> str:
    """MLflow takes neither / nor : in the name of a registered model, and its searches no quote."""
    if not name.strip() or set(name) & set("/:'") or not name.isprintable() or len(name) > 200:
        raise ValueError("Input should be 1 to 200 characters without / : and '")
    return name


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
