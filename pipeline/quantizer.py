"""A float ONNX network and the ranges of its activations become a network in integers.

Activations are quantized where an integer kernel reads or writes them: the graph's input, and what each kernel leaves
behind its ReLU. Operators without weights join where all that they read is rounded anyhow. Logits stay float:
onnxruntime's integer Gemm gives them unrounded.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline import qdq
from pipeline.calibration import LEVELS, Range, run, uint8_parameters
from pipeline.errors import ModelError
from pipeline.splits import pixels

WITHOUT_WEIGHTS = ("Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid")
FLOAT_OUTPUT = ("Gemm", "MatMul")
"""Integer kernels that can leave their output unrounded."""


def layers(model: onnx.ModelProto) -> list[str]:
    """Outputs of the operators with weights, in graph order: what can be left in float one by one."""
    constants = qdq.initializers(model)
    return [
        node.output[0]
        for node in model.graph.node
        if node.op_type in qdq.INTEGER_KERNELS and node.input[qdq.WEIGHT_INPUT] in constants
    ]


def points(model: onnx.ModelProto, left: Collection[str] = ()) -> list[str]:
    """Activations to be quantized if all layers but `left` are to run in integers, in graph order."""
    makers, readers, weighted = qdq.producers(model), qdq.consumers(model), set(layers(model))
    found: set[str] = set()
    for node in model.graph.node:
        result = _behind_clip(node, readers)
        if node.output[0] in weighted.difference(left):
            found.add(qdq.origin(node.input[0], makers))
            if node.op_type not in FLOAT_OUTPUT or result != node.output[0]:
                found.add(result)
    for node in model.graph.node:
        if node.op_type in WITHOUT_WEIGHTS and node.output[0] not in left:
            read = {qdq.origin(name, makers) for name in node.input}
            if read <= found:
                found.add(_behind_clip(node, readers))
    order = [model.graph.input[0].name, *(output for node in model.graph.node for output in node.output)]
    return [name for name in order if name in found]


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    left: Collection[str] = (),
    per_channel: bool = True,
    keep_clips: bool = False,
) -> onnx.ModelProto:
    """The network with integers wherever onnxruntime has a kernel for them, but for the layers `left` in float.

    Args:
        model: float, with `Gemm` instead of MatMul + Add (`qdq.fuse_gemm`).
        ranges: of at least the activations that `points` names.
        left: outputs of layers to leave in float.
        per_channel: a scale for each output channel of the weights, else one for all.
        keep_clips: leave ReLUs in place where rounding to uint8 does their work.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for name in points(model, left):
        scale, zero = uint8_parameters(*ranges[name])
        clipped = zero == 0 and not keep_clips
        qdq.insert_pair(result, _without_clip(result, name, ranges[name]) if clipped else name, scale, zero)
    qdq.store_integers(result, lambda weights, axis: qdq.nearest(weights, axis if per_channel else None), left)
    _keep_float(result, left)
    return result


def take_bytes(model: onnx.ModelProto) -> None:
    """Let a network in integers take uint8 images 0..255 as they are, in place: same answers, a quarter of the request.

    Quantizing an image that was scaled to 0..1 gives its bytes back; so the input is what that would give.

    Raises:
        ModelError: the range of the input is not that of pixels, so that bytes would be read as something else.
    """
    (source,) = model.graph.input
    readers = [node for node in model.graph.node if source.name in node.input]
    if [node.op_type for node in readers] != ["QuantizeLinear"] or not _gives_bytes_back(model, readers[0]):
        raise ModelError(
            "This network cannot take bytes: its input is not quantized as pixels 0..1. Leave out take_bytes."
        )
    source.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    for node in model.graph.node:
        node.input[:] = [source.name if name == readers[0].output[0] else name for name in node.input]
    model.graph.node.remove(readers[0])


def _gives_bytes_back(model: onnx.ModelProto, quantize_linear: onnx.NodeProto) -> bool:
    constants, every = qdq.initializers(model), np.arange(LEVELS + 1)
    scale, zero = (constants[name] for name in quantize_linear.input[1:])
    return np.array_equal(np.clip(np.rint(pixels(every.astype(np.uint8)) / scale) + zero, 0, LEVELS), every)


def correct_biases(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    images: np.ndarray,
    left: Collection[str] = (),
    per_channel: bool = True,
) -> onnx.ModelProto:
    """The float network with biases that make up for what quantization shifts each layer's mean output by.

    Layer by layer, so that what one correction mends further down is not mended again. Source: M. Nagel et al.,
    Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2, empirical form.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    for layer in layers(model):
        node = qdq.producers(corrected)[layer]
        if layer in left or len(node.input) <= qdq.BIAS_INPUT:
            continue
        wanted = _channel_means(model, layer, images, node.op_type)
        rounded = quantize(corrected, ranges, left, per_channel, keep_clips=True)
        got = _channel_means(rounded, layer, images, node.op_type)
        (bias,) = [tensor for tensor in corrected.graph.initializer if tensor.name == node.input[qdq.BIAS_INPUT]]
        shifted = numpy_helper.to_array(bias) + (wanted - got).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(shifted, bias.name))
    return corrected


def _channel_means(model: onnx.ModelProto, layer: str, images: np.ndarray, operator: str) -> np.ndarray:
    total = 0.0
    for values in run(model, [layer], images):
        output = values[layer].astype(np.float64)
        total = total + (
            output.sum((0, *range(2, output.ndim))) / output[0, 0].size if operator == "Conv" else output.sum(0)
        )
    return np.asarray(total) / len(images)


def _behind_clip(node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """The output of the ReLU that alone reads `node`, else its own."""
    following = readers.get(node.output[0], [])
    single = len(following) == 1 and following[0].op_type in qdq.CLIPS
    return following[0].output[0] if single else node.output[0]


def _without_clip(model: onnx.ModelProto, name: str, limits: Range) -> str:
    """The value that `name` is a clipped form of, its ReLU removed: with zero point 0, rounding clips just as it did.

    `name` itself where there is no such ReLU, where others read its input, or where it is the graph's output.
    """
    clip = qdq.producers(model).get(name)
    if clip is None or clip.op_type not in qdq.CLIPS or not _is_within(model, clip, limits):
        return name
    source = clip.input[0]
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    if source in ends or name in ends or len(qdq.consumers(model)[source]) > 1:
        return name
    model.graph.node.remove(clip)
    for node in model.graph.node:
        node.input[:] = [source if value == name else value for value in node.input]
    return source


def _keep_float(model: onnx.ModelProto, layers: Collection[str]) -> None:
    """Put a Clip without bounds in front of these layers, in place.

    Between activations in integers onnxruntime would else quantize their float weights, too, as it loads the file.
    """
    constants, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    for node in [makers[layer] for layer in layers]:
        following = readers.get(_behind_clip(node, readers), [])
        is_rounded = any(reader.op_type == "QuantizeLinear" for reader in following)
        if is_rounded and qdq.scale_before(node.input[0], makers, constants) is not None:
            place, guarded = list(model.graph.node).index(node), f"{node.output[0]}/float"
            model.graph.node.insert(place, helper.make_node("Clip", [node.input[0]], [guarded]))
            node.input[0] = guarded


def _is_within(model: onnx.ModelProto, clip: onnx.NodeProto, limits: Range) -> bool:
    """Whether rounding into `limits`, from 0 up, leaves nothing for `clip` to do."""
    if clip.op_type == "Relu":
        return True
    constants = {
        tensor.name: float(numpy_helper.to_array(tensor))
        for tensor in model.graph.initializer
        if tensor.name in clip.input
    }
    low, high = (
        constants.get(name, default)
        for name, default in zip((*clip.input[1:], "", "")[:2], (-np.inf, np.inf), strict=True)
    )
    return low <= 0 and limits[1] <= high
