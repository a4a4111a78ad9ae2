"""Set keys in the text of a YAML file, and leave every other character as it is: comments, order, quotes and layout.

ruamel.yaml keeps comments, but it writes the whole file anew, with its own indentation and line breaks.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from octavo.project.errors import ParamsError
from octavo.project.files import yaml_file

Edit = tuple[int, int, str]
"""Start and end of a range of characters, and the text that takes its place."""


def with_keys(text: str, place: Sequence[str], values: Mapping[str, str | int]) -> str:
    """The text with these keys set in the mapping at `place`.

    Args:
        text: of a YAML file.
        place: keys that lead to a mapping with at least one key.
        values: key -> new value. New keys follow the last one of the mapping.

    Raises:
        ParamsError: the mapping is written in a way that cannot be changed as text, for example by an alias.
    """
    node = _mapping(yaml.compose(text, yaml.SafeLoader), place)
    if node is not None:
        edits = sorted(_edits(text, node, values), reverse=True)
        changed = text
        for start, end, new in edits:
            changed = changed[:start] + new + changed[end:]
        if _parsed(changed) == _expected(_parsed(text), place, values):
            return changed
    shown = ", ".join(f"{key}: {_written(value)}" for key, value in values.items())
    raise ParamsError(f"{'.'.join(place)} cannot be changed as text. Write it as a mapping of its own, with {shown}.")


def _mapping(node: yaml.Node | None, place: Sequence[str]) -> yaml.MappingNode | None:
    for key in place:
        inner = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in inner if name.value == key), None)
    return node if isinstance(node, yaml.MappingNode) and node.value else None


def _edits(text: str, node: yaml.MappingNode, values: Mapping[str, str | int]) -> list[Edit]:
    known = {name.value: value for name, value in node.value}
    edits = [
        (known[key].start_mark.index, known[key].end_mark.index, _written(value))
        for key, value in values.items()
        if key in known
    ]
    added = [f"{key}: {_written(value)}" for key, value in values.items() if key not in known]
    if not added:
        return edits
    (first, _), (_, last) = node.value[0], node.value[-1]
    if node.flow_style:
        end = last.end_mark.index
        return [*edits, (end, end, "".join(f", {each}" for each in added))]
    line = text.find("\n", last.end_mark.index)
    end = len(text) if line < 0 else line
    ending = "\r\n" if text[:end].endswith("\r") else "\n"
    end -= len(ending) - 1
    indent = " " * first.start_mark.column
    return [*edits, (end, end, "".join(f"{ending}{indent}{each}" for each in added))]


def _written(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parsed(text: str) -> Any:
    try:
        return yaml_file.parse(text.encode())
    except yaml.YAMLError:
        return None


def _expected(found: Any, place: Sequence[str], values: Mapping[str, str | int]) -> Any:
    """The content with the keys set, without a change of `found`, whose parts may be shared by aliases."""
    if not place:
        return {**found, **values}
    return {**found, place[0]: _expected(found[place[0]], place[1:], values)}
