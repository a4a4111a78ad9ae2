"""The folder of a SavedModel: its files, the one graph that serves, and the one signature of it that is taken."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.params.networks import SAVED_MODEL
from octavo.training.frozen_graph import LIMIT

TAG, SIGNATURE = "serve", "serving_default"
SET_UP = "__saved_model_init_op"
"""Entry among the signatures that is none: it names what a loader runs first."""


@dataclass(frozen=True)
class End:
    """The input or the output of a signature."""

    name: str
    """As the signature calls it."""
    info: TensorInfo


@dataclass(frozen=True)
class Contents:
    """What is taken from a SavedModel."""

    meta: MetaGraphDef
    source: End
    target: End
    signature: str
    others: tuple[str, ...]
    """The signatures that are not taken."""


def look_into(folder: Path) -> Contents:
    """Read the graph and its signature.

    Raises:
        ModelError: the folder is no SavedModel, is damaged, has links or reads files; or its signature is not one from
            one float32 tensor (N, …) with a free batch to one float32 tensor.
    """
    _check_files(folder)
    meta = _serving(_parsed(folder / SAVED_MODEL), folder)
    if meta.asset_file_def:
        names = ", ".join(sorted(each.filename for each in meta.asset_file_def)[:4])
        raise ModelError(f"{folder} reads files (assets): {names}. Export the network without what reads them.")
    name, others = _signature(meta, folder)
    source = _end("input", meta.signature_def[name].inputs, name, folder)
    target = _end("output", meta.signature_def[name].outputs, name, folder)
    if source.name == target.name:
        raise ModelError(f"Signature {name} of {folder} calls its input and its output {source.name}. Rename one.")
    return Contents(meta, source, target, name, others)


def _check_files(folder: Path) -> None:
    """Check that the folder holds regular files alone: a link could make a file of this machine a weight."""
    if not (folder / SAVED_MODEL).is_file():
        raise ModelError(f"{folder} is not a SavedModel, which is a folder with {SAVED_MODEL}. Give the path of one.")
    for inside, folders, files in os.walk(folder):
        for path in (Path(inside, name) for name in sorted((*folders, *files))):
            if path.is_symlink():
                raise ModelError(f"{path} is a link, and links are not followed. Copy the folder with cp -rL.")
            if not (path.is_dir() or path.is_file()):
                raise ModelError(f"{path} is neither a file nor a folder. Remove it.")


def _parsed(path: Path) -> SavedModel:
    saved = SavedModel()
    try:
        saved.ParseFromString(atomic_write.content(path, LIMIT))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. Export the network again.") from None
    except DecodeError:
        raise ModelError(f"{path} is damaged. Export the network again.") from None
    return saved


def _serving(saved: SavedModel, folder: Path) -> MetaGraphDef:
    found = [meta for meta in saved.meta_graphs if list(meta.meta_info_def.tags) == [TAG]]
    if len(found) != 1:
        tags = "; ".join(", ".join(meta.meta_info_def.tags) or "no tag" for meta in saved.meta_graphs) or "none"
        raise ModelError(
            f"{folder} has graphs with the tags {tags}, and exactly one with the tag {TAG} alone is needed. Export the "
            "network for serving."
        )
    return found[0]


def _signature(meta: MetaGraphDef, folder: Path) -> tuple[str, tuple[str, ...]]:
    """The name of the signature to take, and the names of the others."""
    names = sorted(set(meta.signature_def) - {SET_UP})
    taken = names[0] if len(names) == 1 else SIGNATURE
    if taken not in names:
        listed = ", ".join(names) or "none"
        raise ModelError(
            f"{folder} has {len(names)} signatures ({listed}), and one is needed, or one that is called {SIGNATURE}. "
            "Give it as signatures of tf.saved_model.save."
        )
    return taken, tuple(name for name in names if name != taken)


def _end(kind: str, found: Mapping[str, TensorInfo], signature: str, folder: Path) -> End:
    if len(found) != 1:
        raise ModelError(
            f"Signature {signature} of {folder} has {len(found)} {kind}s ({', '.join(sorted(found)) or 'none'}), and "
            "networks with one are accepted. Export one with a single tensor."
        )
    ((name, info),) = found.items()
    if info.WhichOneof("encoding") != "name":
        raise ModelError(f"The {kind} {name} of {folder} is not a dense tensor. Export the network with one.")
    if info.dtype != types_pb2.DT_FLOAT:
        type_ = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
        raise ModelError(f"The {kind} {name} of {folder} is {type_}, and float32 is needed. Export the float network.")
    if kind == "input":
        _check_shape(name, info, folder)
    return End(name, info)


def _check_shape(name: str, info: TensorInfo, folder: Path) -> None:
    sizes = [dim.size for dim in info.tensor_shape.dim]
    if info.tensor_shape.unknown_rank or len(sizes) < 2:
        axes = "no declared shape" if info.tensor_shape.unknown_rank else f"{len(sizes)} axes"
        raise ModelError(
            f"The input {name} of {folder} has {axes}, and examples need two or more, (N, …). Export it with them."
        )
    if sizes[0] != -1:
        raise ModelError(
            f"{folder} is written for batches of {sizes[0]}. Export it with a free batch, which is None in "
            "tf.TensorSpec."
        )
