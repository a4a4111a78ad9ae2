"""What `octavo init` tries of a Keras file before it writes: container and configuration, without TensorFlow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octavo.project.setting_up.trial import SeenNetwork
from octavo.training.keras_files import containers


def keras(path: Path) -> SeenNetwork:
    """Check a Keras file as the stage `bring` does before Keras builds the network.

    Raises:
        ModelError: the file or its configuration is refused, or the network has several inputs or outputs.
    """
    saved = containers.look_into(path)
    config = saved.config["config"]
    if not isinstance(config, dict):
        return SeenNetwork(None, None)
    for what in ("input", "output"):
        names = _names(config.get(f"{what}_layers"))
        if len(names) > 1:
            raise containers.several(path, what, names)
    return SeenNetwork(_shape(config), None)


def _names(ends: object) -> list[str]:
    """The names of the layers where a functional network begins or ends: one `[name, 0, 0]`, or a list or mapping."""
    if isinstance(ends, Mapping):
        return [str(name) for name in ends]
    if not isinstance(ends, list) or not ends:
        return []
    return (
        [str(ends[0])] if isinstance(ends[0], str) else [str(end[0]) for end in ends if isinstance(end, list) and end]
    )


def _shape(config: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Of one example, as the first layer that says a shape takes it."""
    layers = config.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        inner = layer.get("config") if isinstance(layer, dict) else None
        found = inner.get("batch_shape", inner.get("batch_input_shape")) if isinstance(inner, dict) else None
        if isinstance(found, list) and len(found) > 1 and all(isinstance(size, int | None) for size in found[1:]):
            return tuple(found[1:])
    return None
