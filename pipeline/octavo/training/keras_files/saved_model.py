"""Open a SavedModel of TensorFlow 2, which any program may have written: its inference function and its variables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write

FILE = "saved_model.pb"
SIGNATURE = "serving_default"
LIMIT = 2**31 - 1
"""Bytes of the graph's file: protobuf reads no more."""
OUTSIDE = ("PyFunc", "Summary", "Dataset", "Iterator", "Rpc", "Socket", "Save", "Restore", "Print", "Queue", "Reader")
"""Parts of the names of operators that run Python code, or read or write something outside the network."""
FILES = ("ReadFile", "WriteFile", "MatchingFiles", "MergeV2Checkpoints", "Assert", "LookupTable", "HashTable")


class Served:
    """The inference function of a SavedModel, as a network that can be called like a Keras model."""

    def __init__(self, name: str, loaded: Any, path: Path) -> None:
        self.name = name
        self._kept = loaded  # its functions hold no references to their variables
        self._function = loaded.signatures[SIGNATURE]
        _, arguments = self._function.structured_input_signature
        self._source = _only(sorted(arguments), "input", path)
        self._target = _only(sorted(self._function.structured_outputs), "output", path)
        self.variables = list(self._function.variables)
        source, target = arguments[self._source], self._function.structured_outputs[self._target]
        for what, found in (("input", source), ("output", target)):
            if found.dtype != tf.float32 or found.shape.rank is None or found.shape.rank < 2:
                raise ModelError(
                    f"The {what} of {path} is {found.dtype.name} {found.shape}, and float32 (N, …) is needed."
                )
        if source.shape[0] is not None:
            raise ModelError(
                f"{path} is written for batches of {source.shape[0]}. Export it with a free batch, which is "
                "None in tf.TensorSpec."
            )
        self.input_shape: tuple[int | None, ...] = tuple(source.shape)
        self.output_shape: tuple[int | None, ...] = tuple(target.shape)

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Outputs, float32 (N, …), of images, float32 (N, …)."""
        return self._function(**{self._source: tf.convert_to_tensor(images)})[self._target]


def read(folder: Path) -> Served:
    """The network in a SavedModel.

    Raises:
        ModelError: it is no SavedModel of TensorFlow 2, has no signature `serving_default` from one float32 tensor to
            one, or does more than compute.
    """
    _check(_parsed(folder / FILE), folder)
    with foreign_code.code(f"TensorFlow {tf.__version__} cannot load {folder}", ModelError, advice="Export it again."):
        loaded = tf.saved_model.load(str(folder))
        if SIGNATURE not in loaded.signatures:
            known = ", ".join(sorted(loaded.signatures)) or "none"
            raise ModelError(
                f"{folder} has the signatures {known}; {SIGNATURE} is needed. Export it with model.export."
            )
        return Served(folder.name, loaded, folder)


def _parsed(path: Path) -> SavedModel:
    saved = SavedModel()
    try:
        saved.ParseFromString(atomic_write.content(path, LIMIT))
    except OSError as error:
        raise ModelError(f"Cannot load {path}: {error.strerror}. A SavedModel is a folder with {FILE}.") from None
    except DecodeError:
        raise ModelError(f"{path} is damaged. Export the network again.") from None
    return saved


def _check(saved: SavedModel, folder: Path) -> None:
    if not saved.meta_graphs or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise ModelError(f"{folder} is no SavedModel of TensorFlow 2. Export the network with tf.saved_model.save.")
    meta = saved.meta_graphs[0]
    if any(node.WhichOneof("kind") in ("asset", "resource") for node in meta.object_graph_def.nodes):
        raise ModelError(f"{folder} has tables or files that TensorFlow sets up while it loads them. Export without.")
    for operator in _operators(meta.graph_def):
        if operator in FILES or any(part in operator for part in OUTSIDE):
            raise ModelError(
                f"{folder} has an operator {operator}, which does more than compute. Export the network for inference."
            )


def _operators(graph: Any) -> Iterator[str]:
    """Operators of all functions. Those outside functions only save and restore variables."""
    for function in graph.library.function:
        name = function.signature.name
        if not name.startswith(("__inference__traced_save", "__inference__traced_restore")):
            yield from (node.op for node in function.node_def)


def _only(names: Sequence[str], what: str, path: Path) -> str:
    if len(names) != 1:
        raise ModelError(
            f"{path} has {len(names)} {what}s ({', '.join(names) or 'none'}), and networks with one are accepted. "
            "Export one with a single tensor."
        )
    return names[0]
