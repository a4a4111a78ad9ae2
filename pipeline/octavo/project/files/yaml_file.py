"""Read YAML as people mean it: keys are text, and a key that occurs twice is refused.

YAML 1.1 reads the keys `no` and `010` as False and 8, and silently keeps the last of several equal keys.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from octavo.project.errors import ParamsError
from octavo.project.files import atomic_write

TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
LARGEST = 2**26
"""Limit for the bytes of a file."""
DEEPEST = 100
"""Limit for nested lists and mappings, with aliases resolved."""
DIGITS = 300
"""Limit for the digits of an integer; no float holds a longer one."""
MOST = 1_000_000
"""Limit for the values, with aliases resolved: a few lines of aliases can stand for billions of values."""
SURROGATES = re.compile(r"[\ud800-\udfff]")
FAULTS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What PyYAML raises for a file that is not YAML, or that has an impossible value, such as 2026-02-30."""


def read(path: Path) -> Any:
    """The content of the YAML file at `path`. Values are read by the rules of YAML 1.1.

    Raises:
        FileNotFoundError: there is no such file.
        ParamsError: it cannot be read, is not UTF-8, is not YAML, has too many levels, or has a key twice.
    """
    try:
        text = atomic_write.content(path, LARGEST).decode("utf-8")
        _check(text, yaml.SafeLoader)
        return _Loader(text).get_single_data()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ParamsError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.") from None
    except FAULTS as error:
        raise ParamsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None


def parse(content: bytes) -> Any:
    """The content of YAML that a program wrote, such as DVC's lock, by the rules of YAML 1.1.

    A lock has thousands of lines, which take most of a second without libyaml. libyaml is used if it is installed.

    Raises:
        yaml.YAMLError: it is not YAML, or has too many levels.
    """
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _check(content, kind)
    loader = kind(content)
    try:
        return loader.get_single_data()
    except FAULTS as error:
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def _check(content: bytes | str, loader: Any) -> None:
    """Check levels and size of a document, event by event, because building it could exhaust the stack.

    Raises:
        yaml.YAMLError: it exceeds the limits, or is not YAML.
    """
    open_nodes, known = [_Size()], dict[str, _Size]()
    for event in yaml.parse(content, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(_Size(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = open_nodes.pop()
            open_nodes[-1].add(done)
            if done.anchor:
                known[done.anchor] = done
        elif isinstance(event, yaml.AliasEvent):
            if any(node.anchor == event.anchor for node in open_nodes):
                raise yaml.YAMLError(f"*{event.anchor} is inside the value that it refers to")
            open_nodes[-1].add(known.get(event.anchor or "", _Size()))
        elif isinstance(event, yaml.ScalarEvent):
            if not event.value.isascii() and SURROGATES.search(event.value):
                raise yaml.YAMLError(f"the text {event.value[:20]!r} has half of a surrogate pair")
            open_nodes[-1].add(_Size())
            known.pop(event.anchor or "", None)
        top = open_nodes[-1]
        if len(open_nodes) + top.depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} deep")
        if top.values > MOST:
            raise yaml.YAMLError(f"it stands for more than {MOST:,} values")


class _Size:
    """The size of a value: the levels below it, and the number of values, itself included."""

    def __init__(self, anchor: str | None = None) -> None:
        self.anchor, self.depth, self.values = anchor, 0, 1

    def add(self, inner: "_Size") -> None:
        self.depth = max(self.depth, inner.depth + 1)
        self.values += inner.values


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but keys are text as written in the file, and must be unique."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > DIGITS:
            raise yaml.YAMLError(f"a number in line {node.start_mark.line + 1} has more than {DIGITS} digits")
        return super().construct_yaml_int(node)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        node.value = [(_as_text(key), value) for key, value in node.value]
        seen: set[str] = set()
        for key in (key for key, _ in node.value if key.tag == TEXT):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"key '{key.value}' occurs twice, again in line {line}: keep one")
            seen.add(key.value)
        return node


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _as_text(key: yaml.Node) -> yaml.Node:
    """A separate node: an alias shares the node of its anchor, which may be a value elsewhere."""
    if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
        return yaml.ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
    return key
