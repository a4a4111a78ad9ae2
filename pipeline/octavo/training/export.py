"""Export a Keras network to the two formats that recipes start from: checked ONNX, and a SavedModel of constants.

Both come from one frozen graph, and both have the same bytes in every run. Above 2 GB, the limit of protobuf, ONNX
keeps its weights in `model.onnx.data`, and there is no SavedModel. Both keep the fake quantization of a
quantization-aware network: ONNX as QuantizeLinear/DequantizeLinear on activations, the SavedModel as FakeQuant nodes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tf_keras as keras

from octavo.backends.onnxruntime import session as onnx_runtime
from octavo.data.input_encoding import IMAGES
from octavo.onnx_graph import canonicalize, session_options
from octavo.onnx_graph.external_tensors import Content
from octavo.onnx_graph.rewrites import network_input
from octavo.project import foreign_code, story
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.networks import SAVED_MODEL
from octavo.training.conversion import to_onnx
from octavo.training.frozen_graph import Frozen, freeze, has_loops, saved_model, unrolled

Run = Callable[[np.ndarray], np.ndarray]
"""From encoded examples, float32 (N, …), to the outputs of a network, float32 (N, …)."""
TOLERANCE = {"float": 1e-4, "fake-quantized": 0.05}
"""Largest error of the ONNX logits, relative to the Keras logits (both as root mean square), that counts as rounding.

In a fake-quantized network, a rounding error sometimes moves a value to the next step. This caused an error of 0.002 on
MNIST and of 0.014 on a deep network. A wrongly converted layer causes a much larger error."""
NUDGE = np.float32(1 - 1e-5)
"""Factor on the images that imitates rounding errors. It shows how much a fake-quantized network amplifies them: an
autoencoder with a narrow middle was off by 0.06, because pixels halfway between two steps can go to either."""
OWN, MOST = 2.0, 0.3
"""The allowed error is `OWN` times the error that `NUDGE` causes in the Keras network, and at most `MOST`."""


def export(model: keras.Model, samples: np.ndarray, folder: Path, encoding: InputEncoding = IMAGES) -> None:
    """Write `model.onnx` and `saved_model/saved_model.pb` into `folder`.

    Args:
        model: from float32 images (N, H, W[, C]) to logits (N, classes).
        samples: float32 images (N, H, W[, C]), encoded. The ONNX file is checked against the Keras logits on them.
        folder: where the files go.
        encoding: of the network's input, which the ONNX file declares.

    Raises:
        ModelError: an operator cannot be converted, or the exported network does not compute what the Keras model does.
    """
    shape = samples.shape[1:]
    with foreign_code.code(f"TensorFlow cannot trace network '{model.name}'", ModelError):
        frozen = freeze(model, shape)
        with unrolled(model):
            steps = freeze(model, shape) if has_loops(frozen) else frozen
    _write(frozen, model.name, lambda images: np.asarray(model(images, training=False)), samples, folder, encoding)
    _save_for_litert(steps, folder / "saved_model")


def export_frozen(
    frozen: Frozen, name: str, run: Run, samples: np.ndarray, folder: Path, encoding: InputEncoding = IMAGES
) -> None:
    """As `export`, for a network that is a graph of constants already.

    Args:
        frozen: the graph.
        name: of the network, for messages.
        run: what the network computes.
        samples: as for `export`.
        folder: as for `export`.
        encoding: as for `export`.

    Raises:
        ModelError: as `export`.
    """
    _write(frozen, name, run, samples, folder, encoding)
    _save_for_litert(frozen, folder / "saved_model")


def _write(frozen: Frozen, name: str, run: Run, samples: np.ndarray, folder: Path, encoding: InputEncoding) -> None:
    onnx_model = to_onnx(frozen, name)
    kind = "fake-quantized" if any(node.op_type == "QuantizeLinear" for node in onnx_model.graph.node) else "float"
    if kind == "fake-quantized":
        session_options.ask(onnx_model, session_options.RUN_IN_FLOAT)  # else the float weights would be rounded again
        session_options.ask(onnx_model, session_options.AS_WRITTEN)
    network_input.declare(onnx_model, encoding)
    path = folder / "model.onnx"
    kernels = {f"{kernel}:0": Content.of_array(value) for kernel, value in frozen.kernels.items()}
    with foreign_code.code(f"The ONNX graph of network '{name}' is not valid", ModelError):
        canonicalize.save(onnx_model, path, kernels)
    _check(path, name, run, samples, kind)


def _save_for_litert(frozen: Frozen, folder: Path) -> None:
    saved = saved_model(frozen)
    if saved is None:
        shutil.rmtree(folder, ignore_errors=True)
        story.say(f"{folder} is not written, so there is no LiteRT: it would exceed protobuf's limit of 2 GB.")
        return
    atomic_write.write_bytes(folder / SAVED_MODEL, saved.SerializeToString(deterministic=True))


def _check(path: Path, name: str, run: Run, samples: np.ndarray, kind: str) -> None:
    wanted = run(samples)
    got = onnx_runtime.open_model(path).run(samples)
    if not np.isfinite(wanted).all():
        raise ModelError(
            f"Network '{name}' gives logits that are not finite on calibration images. Train it with a lower "
            "learning_rate, or look for a division by zero in it."
        )
    error, size = _size(got - wanted), _size(wanted)
    allowed = TOLERANCE[kind]
    if kind == "fake-quantized" and error > allowed * size > 0:
        own = _size(run(samples * NUDGE) - wanted)
        allowed = max(allowed, min(OWN * own / size, MOST))
    if not error <= allowed * size:
        raise ModelError(
            f"{path} does not compute what network '{name}' does: its logits are off by {error:.2g}, where they "
            f"are {size:.2g} (root mean square); allowed is {allowed:.2g} of that on {kind} networks. "
            "Replace the layer that tf2onnx converts wrongly."
        )


def _size(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))
