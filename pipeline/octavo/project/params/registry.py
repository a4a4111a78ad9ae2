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
    """MLflow allows no / and no : in the name of a registered model, and no quote in searches."""
    if not name.strip() or set(name) & set("/:'") or not name.isprintable() or len(name) > 200:
        raise ValueError("Input should be 1 to 200 characters without / : and '")
    return name


def _alias_name(name: str) -> str:
    """MLflow allows letters, digits, `_` and `-`. It reads `v` with a number as a version."""
    if not ALIAS.fullmatch(name) or name in OWN_ALIASES or name != name.casefold():
        raise ValueError(
            "Input should be lowercase letters, digits, '_' and '-', other than champion, previous and anchor"
        )
    return name


class GuardedAliases(BaseModel):
    """The part of `registry` that the server with the gate reads. The rest is for clients."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    guarded_aliases: tuple[Annotated[str, AfterValidator(_alias_name)], ...] = ()
    """On a server with the gate, these aliases can point only to versions that are or were champion."""


class Registry(Model):
    guarded_aliases: tuple[Annotated[str, AfterValidator(_alias_name)], ...] = ()
    """As in `GuardedAliases`. The server decides by its own file; `octavo audit` checks the aliases named here."""
    experiment: Annotated[str, Field(min_length=1, max_length=400)]
    """Name of the experiment. MLflow allows 500 characters; nights and the audit log append a few."""
    model: Annotated[str, AfterValidator(_model_name)]
    license: str | None = None
    """License of the models, for the model cards. An SPDX expression is best."""
    intended_use: str | None = None
    """What the models should be used for and what not, in your own words, for the model cards."""
