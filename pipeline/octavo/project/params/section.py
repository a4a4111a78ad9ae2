"""Base class of all sections of `params.yaml` (frozen, no unknown keys), and types that several sections share."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from octavo.project.errors import did_you_mean, known_are

Share = Annotated[float, Field(gt=0, lt=1)]
ClassName = Annotated[str, Field(coerce_numbers_to_str=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy and Keras accept 32 bits."""
Threads = Annotated[int, Field(ge=1, le=1024)]
"""No usual machine has more cores, and a process with many more threads crashes."""
Side = Annotated[int, Field(ge=1, le=8192)]
"""In pixels. An image of 8192 x 8192 x 3 takes 800 MB in float32."""
FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""`module:function`, a function of the user."""
MOST, LONGEST = 5, 400
"""Errors that a message tells, and characters of each."""
QUOTED = re.compile(r"'([^']*)'")
Url = Annotated[str, Field(pattern=r"^https?://")]


class Model(BaseModel):
    """Refuses unknown keys, NaN, infinity, and true or false instead of a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, value: Any) -> Any:
        """Refuse unknown keys with the known ones in the message."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        if isinstance(value, dict) and (unknown := [str(key) for key in value if key not in known]):
            raise ValueError(f"Unknown key '{unknown[0]}'.{known_are(unknown[0], known)}")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for numbers, also in a list. Pydantic would read true as 1."""
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if kinds <= {int, float, type(None)} and any(isinstance(each, bool) for each in _items(value)):
            raise ValueError(f"Input should be {'a number' if isinstance(value, bool) else 'numbers'}")
        return value


def faults(error: ValidationError, whole: str = "params") -> str:
    """Pydantic's errors in one line: for each the key, what is wrong, and the value if it is short.

    A key or a value can be long, and can have line breaks.

    Args:
        error: of a section.
        whole: what the section is called in errors about all of it.
    """
    told = [_fault(fault, whole).replace("\n", "\\n") for fault in error.errors()]
    more = [f"and {len(told) - MOST} more"] if len(told) > MOST else []
    return "; ".join([each if len(each) <= LONGEST else f"{each[:LONGEST]}…" for each in told[:MOST]] + more)


def _fault(fault: Any, whole: str) -> str:
    got = repr(fault["input"])
    said = fault["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    for pythons, yamls in (("a valid tuple", "a list"), ("a valid dictionary", "a mapping"), ("Tuple", "List")):
        said = said.replace(pythons, yamls)
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        near = did_you_mean(fault["input"], QUOTED.findall(fault["ctx"]["expected"]))
        return f"{'.'.join(map(str, fault['loc']))}: {said}, got {got}.{near}".removesuffix(".")
    shown = isinstance(fault["input"], str | int | float | list) and len(got) <= 60 and ", got " not in said
    return f"{'.'.join(map(str, fault['loc'])) or whole}: {said}{f', got {got}' if shown else ''}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """The innermost types of an annotation: int and None for `tuple[int, ...] | None`."""
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    if not inner:
        yield annotation
    for each in inner:
        yield from _kinds(each)


def _items(value: Any) -> Iterator[Any]:
    """The innermost values of nested lists."""
    if not isinstance(value, list | tuple):
        yield value
        return
    for each in value:
        yield from _items(each)
