"""Check the configuration of a Keras network before Keras builds it: it may only name Keras' own layers.

A configuration names classes and functions, and Keras imports what it names. A hostile one names a function that writes
files, or holds the bytes of a Python function.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octavo.project.errors import ModelError

LARGEST = 2**26
"""Bytes of a configuration. That of a network of a thousand layers takes one megabyte."""
MODULES = (
    "keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.activations", "keras.dtype_policies", "keras.mixed_precision",
)  # fmt: skip
"""Modules of classes that a configuration may name."""
INNER = ("engine.", "models.", "ops.", "layers.", "dtype_policies.")
"""Beginnings of the names of Keras' inner modules that it may name, behind `keras.src.` or `tf_keras.src.`."""
BUILT_IN = (
    "__tuple__", "__keras_tensor__", "__ellipsis__", "__float__", "__int__", "__bool__", "__str__", "__numpy__",
    "__tensor__", "__tf_tensor__", "slice", "set", "TensorShape", "tuple", "list", "function",
)  # fmt: skip
"""Names of values that are no classes of Keras."""
REFUSED = (
    "FlaxLayer", "HashedCrossing", "Hashing", "IntegerLookup", "JaxLayer", "StringLookup", "TFSMLayer",
    "TextVectorization", "TorchModuleWrapper", "ClassMethod", "InstanceMethod", "InstanceProperty",
)  # fmt: skip
"""Layers that run or read something outside the file, or take text."""
OPERATIONS = ("math.", "nn.", "linalg.", "signal.", "image.", "__operators__.", "keras.activations.", "keras.backend.")
"""Beginnings of the names of TensorFlow's functions that tf_keras may call as layers."""
SINGLE = (
    "abs", "broadcast_to", "cast", "clip_by_value", "concat", "exp", "expand_dims", "gather", "identity", "maximum",
    "minimum", "pad", "pow", "repeat", "reshape", "reverse", "round", "shape", "sigmoid", "split", "sqrt", "square",
    "squeeze", "stack", "strided_slice", "tanh", "tile", "transpose", "unstack", "where",
)  # fmt: skip
"""Further such functions."""
FUNCTIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
)  # fmt: skip
"""Keras' activations."""
REMEDY = "Save the network without it, or export it to ONNX and bring that."


def parsed(content: bytes | str, path: Path) -> dict[str, Any]:
    """The configuration in JSON, checked.

    Raises:
        ModelError: it is too large or not JSON, or `check` refuses it.
    """
    if len(content) > LARGEST:
        raise ModelError(f"The configuration in {path} has {len(content):,} bytes; at most {LARGEST:,} are read.")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ModelError(f"The configuration in {path} is not JSON. Save the network again.") from None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict | list):
        raise ModelError(f"The configuration in {path} is not that of a network. Save the whole network.")
    check(found, path)
    return found


def check(found: dict[str, Any], path: Path) -> None:
    """Check that the configuration names nothing but Keras' own layers and functions.

    Raises:
        ModelError: it names something else, or holds the bytes of a function. The message says what.
    """
    for each in _named(found):
        if fault := _fault(each):
            raise ModelError(f"{path} has {fault}. {REMEDY}")


def _named(found: object) -> Iterator[dict[str, Any]]:
    """Everything in the configuration that names a class, at any depth."""
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "class_name" in each or "registered_name" in each:
                yield each
            waiting += [value for key, value in each.items() if key != "compile_config"]
        elif isinstance(each, list):
            waiting += each


def _fault(each: dict[str, Any]) -> str | None:
    name, module, config = str(each.get("class_name")), each.get("module"), each.get("config")
    if name in ("Lambda", "__lambda__"):
        label = config.get("name") if isinstance(config, dict) else None
        called = f" '{label}'" if isinstance(label, str) else ""
        return f"a Lambda layer{called}, which holds the bytes of a Python function; these are never run"
    if name in REFUSED:
        return f"a layer {name}, which runs or reads something outside the file, or takes text"
    if module in (None, "builtins") and name in BUILT_IN:
        return _unknown_function(config) if name == "function" else None
    if module is not None and not _is_known(module):
        return f"{name} of the module {module}, and only Keras' own layers are built"
    if name in ("TFOpLambda", "SlicingOpLambda") and isinstance(config, dict):
        called = str(config.get("function"))
        if not called.startswith(OPERATIONS) and called not in SINGLE:
            return f"a call of TensorFlow's function {called}, which is none of those that networks compute with"
    return None


def _unknown_function(config: object) -> str | None:
    name = config.get("name") if isinstance(config, dict) else config
    return None if name in FUNCTIONS else f"a function {name}, which is none of Keras' activations"


def _is_known(module: object) -> bool:
    text = str(module)
    for root in ("tf_keras", "keras"):
        inner = text.removeprefix(f"{root}.src.")
        if inner != text:
            return inner.startswith(INNER)
    return text in MODULES or f"keras{text.removeprefix('tf_keras')}" in MODULES
