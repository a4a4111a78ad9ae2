"""YAML as people mean it: keys are text, and one that stands twice is refused.

YAML 1.1 reads the keys `no` and `010` as False and 8, and of a key that stands twice it silently keeps the last.
"""

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ParamsError

TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


def read(path: Path) -> Any:
    """What the YAML file at `path` says; values are read by the rules of YAML 1.1.

    Raises:
        FileNotFoundError: there is none.
        ParamsError: it cannot be read, is not UTF-8, is not YAML, or has a key twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        return loader.get_single_data()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ParamsError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-02-30
        raise ParamsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for keys: they are text as it stands in the file, and stand there once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        node.value = [(_as_text(key), value) for key, value in node.value]
        seen: set[str] = set()
        for key in (key for key, _ in node.value if key.tag == TEXT):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"key '{key.value}' stands twice, again in line {line}: keep one")
            seen.add(key.value)
        return node


def _as_text(key: yaml.Node) -> yaml.Node:
    """A node of its own: an alias shares its anchor's, and elsewhere that may be a value."""
    if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
        return yaml.ScalarNode(TEXT, key.value, key.start_mark, key.end_mark)
    return key
