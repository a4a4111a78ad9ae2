"""How recipes of LiteRT files begin and end: the network is prepared; the file is written, and its layers are named."""

import json
from pathlib import Path

import onnx

from octavo.data.input_encoding import encode
from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project.files import atomic_write
from octavo.quantization.litert.writing import Ends, check_operators, write


def save(
    model: onnx.ModelProto, target: Path, samples: Samples, ends: Ends = "float32", rounds_inputs: bool = False
) -> None:
    """Write a graph as the LiteRT file `target`, and `layers.json` beside it.

    Args:
        model: the graph, prepared.
        target: the file to write.
        samples: give the shape of an example.
        ends: type of the file's input and output.
        rounds_inputs: whether layers with large int8 weights round float inputs at each call.

    Raises:
        ModelError: an operator has no form in LiteRT.
    """
    example = encode(samples.calibration[:1], network_input.encoding(model)).shape[1:]
    written = write(model, example, rounds_inputs, ends)
    if written.layers:
        atomic_write.write_text(target.with_name(canonicalize.LAYERS), json.dumps(written.layers, indent=1) + "\n")
    atomic_write.write_bytes(target, written.content)


def prepared(exported: Path, samples: Samples, take_bytes: bool) -> onnx.ModelProto:
    """The float network, ready to be changed and written.

    Args:
        exported: folder with `model.onnx`.
        samples: only for a check of the option `take_bytes`.
        take_bytes: whether images are to be given as bytes. The caller then changes the input, after all else.

    Raises:
        ModelError: float images cannot be given as bytes, or an operator has no form in LiteRT.
    """
    if take_bytes:
        network_input.require(samples.calibration)
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    check_operators(model)
    return model
