"""YAML as people mean it: a key that stands twice is refused, where YAML readers silently keep the last."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ParamsError


def read(path: Path) -> Any:
    """What the YAML file at `path` says.

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
    """PyYAML's safe loader, but for keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise yaml.YAMLError(f"key '{name}' stands twice, again in line {key.start_mark.line + 1}: keep one")
            seen.add(name)
        return super().construct_mapping(node, deep)
