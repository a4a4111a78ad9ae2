"""Round activations earlier, where that gives the same values and lets the operator in front compute in integers."""

import onnx
from onnx import helper

from octavo.onnx_graph import qdq


def before_concats(model: onnx.ModelProto, moved: bool = False) -> None:
    """Quantize the inputs of each Concat like its output, in place. The values are the same, but integer kernels
    can compute the inputs.

    Args:
        model: the graph.
        moved: whether inputs count as quantized if operators only moved their values since.
    """
    readers, makers = qdq.consumers(model), qdq.producers(model)
    for node in reversed([node for node in model.graph.node if node.op_type == "Concat"]):
        following = readers.get(node.output[0], [])
        if [reader.op_type for reader in following] != ["QuantizeLinear"]:
            continue
        for name in dict.fromkeys(node.input):
            source = makers.get(qdq.origin(name, makers) if moved else name)
            if source is None or source.op_type == "DequantizeLinear":
                continue
            pair = _insert_before(node, model, name, list(following[0].input[1:]), f"{node.output[0]}/{name}")
            node.input[:] = [pair[1].output[0] if other == name else other for other in node.input]
            readers[name] = [pair[0] if reader is node else reader for reader in readers[name]]


def before_clips(model: onnx.ModelProto) -> None:
    """Quantize also before a clip if the zero point after it is not 0, in place.

    With a zero point of 0, quantization itself cuts off negative values, and onnxruntime removes the clip. With a
    larger zero point the clip must stay. Its input is then quantized too, so that the operator before it still runs in
    integers.
    """
    constants, makers = qdq.initializers(model), qdq.producers(model)
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        clip = makers.get(node.input[0])
        if clip is None or clip.op_type not in qdq.CLIPS or int(constants[node.input[2]]) == 0:
            continue
        pair = _insert_before(clip, model, clip.input[0], list(node.input[1:]), clip.input[0])
        clip.input[0] = pair[1].output[0]


def _insert_before(
    node: onnx.NodeProto, model: onnx.ModelProto, value: str, parameters: list[str], name: str
) -> list[onnx.NodeProto]:
    """Insert QuantizeLinear and DequantizeLinear of a value in front of a node, in place, and return the two.

    Args:
        node: of the graph.
        model: the graph.
        value: name of the tensor to quantize.
        parameters: names of scale and zero point.
        name: prefix of the names of the two outputs.
    """
    pair = [
        helper.make_node("QuantizeLinear", [value, *parameters], [f"{name}/quantized"]),
        helper.make_node("DequantizeLinear", [f"{name}/quantized", *parameters], [f"{name}/dequantized"]),
    ]
    place = list(model.graph.node).index(node)
    for offset, each in enumerate(pair):
        model.graph.node.insert(place + offset, each)
    return pair
