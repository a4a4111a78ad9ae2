"""Keras to the two exchange formats that every recipe starts from: checked ONNX, and a SavedModel of constants.

Both come from one frozen graph, and both have the same bytes in every run. Past 2 GB, where protobuf ends, ONNX keeps
its weights in `model.onnx.data`, and there is no SavedModel. A network trained with fake
quantization keeps it in both: as QuantizeLinear/DequantizeLinear on activations in ONNX, as FakeQuant nodes
in the SavedModel.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import tf2onnx
import tf_keras as keras

from pipeline import canonical, detached, files, session_options
from pipeline.detached import Content
from pipeline.errors import ModelError
from pipeline.runtimes import onnx as onnx_runtime
from pipeline.training.freezing import INPUT, OUTPUT, Frozen, freeze, saved_model

OPSET = 17
TOLERANCE = {"float": 1e-4, "fake-quantized": 0.01}
"""Largest error of ONNX logits, relative to Keras' (both as root mean square), that is rounding. Where values are
fake-quantized, a rounding error decides now and then which of two steps a value falls on; on MNIST that is 0.002."""


def export(model: keras.Model, samples: np.ndarray, folder: Path) -> None:
    """Write `model.onnx` and `saved_model/saved_model.pb` into `folder`.

    Args:
        model: from float32 images (N, H, W[, C]) to logits (N, classes).
        samples: float32 images on which the ONNX file must give Keras' logits.

    Raises:
        ModelError: the exported network does not compute what the Keras model does.
    """
    frozen = freeze(model)
    _save_for_litert(frozen, folder / "saved_model")
    onnx_model = _to_onnx(frozen)
    kind = "fake-quantized" if any(node.op_type == "QuantizeLinear" for node in onnx_model.graph.node) else "float"
    if kind == "fake-quantized":
        session_options.ask(onnx_model, session_options.RUN_IN_FLOAT)  # else their float weights would be rounded anew
    path = folder / "model.onnx"
    canonical.save(onnx_model, path, {f"{name}:0": Content.of_array(kernel) for name, kernel in frozen.kernels.items()})
    _check(path, model, samples, kind)


def _save_for_litert(frozen: Frozen, folder: Path) -> None:
    saved = saved_model(frozen)
    if saved is None:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{folder} is left out, and with it LiteRT: it would be larger than protobuf's 2 GB.", file=sys.stderr)
        return
    files.write_bytes(folder / "saved_model.pb", saved.SerializeToString(deterministic=True))


def _to_onnx(frozen: Frozen) -> onnx.ModelProto:
    source, target = frozen.source.name, frozen.target.name
    kernels = {f"{name}:0": kernel for name, kernel in frozen.kernels.items()}
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph, input_names=[source, *kernels], output_names=[target], opset=OPSET
    )
    _declare(model.graph, kernels)
    _name_layers(model.graph)
    return canonical.rename_ends(model, {source: INPUT, target: OUTPUT})


def _name_layers(graph: onnx.GraphProto) -> None:
    """Say of each operator what layer it came from: tf2onnx calls it `network/layer/operator__number`."""
    for node in graph.node:
        node.doc_string = "/".join(node.name.split("/")[1:-1])


def _declare(graph: onnx.GraphProto, kernels: Mapping[str, np.ndarray]) -> None:
    """Turn the inputs that stand for kernels into initializers."""
    for value in [value for value in graph.input if value.name in kernels]:
        kernel = kernels[value.name]
        detached.declare(graph, value.name, value.type.tensor_type.elem_type, kernel.shape)
        graph.input.remove(value)


def _check(path: Path, model: keras.Model, samples: np.ndarray, kind: str) -> None:
    wanted = model(samples, training=False).numpy()
    got = onnx_runtime.open_model(path)(samples)
    error = float(np.sqrt(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))
    if not error <= TOLERANCE[kind]:
        raise ModelError(
            f"{path} does not compute what network '{model.name}' does: its logits are off by {error:.2g} of theirs; "
            f"allowed is {TOLERANCE[kind]:g} on {kind} networks. Replace the layer that tf2onnx converts wrongly."
        )
