"""QuantizeLinear, DequantizeLinear and Cast: values that change their type, and constants that are stored in one."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto

from octavo.backends.litert.content.packing import FileTensor, Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert.endings import SHIFT, alike, scaling_of
from octavo.quantization.litert.translation import Code, Packed, Translation, Type, option

WORTHWHILE = 64
"""Elements from which float16 saves more bytes than the operator that makes floats of them takes."""


def quantize(translation: Translation, node: onnx.NodeProto) -> None:
    """QuantizeLinear. No operator where the integers are there already."""
    source, name, scaling = node.input[0], node.output[0], scaling_of(translation, node)
    for reader in translation.readers.get(name, []):
        if reader.op_type == "DequantizeLinear":
            back = scaling_of(translation, reader)
            if not alike(scaling, back):
                raise ModelError("a value that is rounded at one scale and read at another has no form in LiteRT")
            scaling = back
    if translation.is_integer(source) and alike(translation.scaling(source), scaling):
        translation.alias(name, source)
        return
    order = translation.order(source)
    given = translation.tensor(source, order, translation.is_integer(source))
    result = translation.hold(name, order, scaling)
    translation.call(Code.QUANTIZE, [given], [result], schema.QuantizeOptionsT(), 2)


def dequantize(translation: Translation, node: onnx.NodeProto) -> None:
    """DequantizeLinear. No operator: whoever needs floats asks for them."""
    source, name = node.input[0], node.output[0]
    if source in translation.constants:
        translation.kept[name] = _stored(translation, node)
        translation.shapes[name] = translation.constants[source].shape
        return
    if translation.is_integer(source):
        translation.alias(name, source)
        return
    _bytes(translation, source, scaling_of(translation, node), name)


def _bytes(translation: Translation, source: str, scaling: Scaling, name: str) -> None:
    """The input of the graph in uint8, as the int8 that its operators compute with."""
    order = translation.order(source)
    given = translation.tensor(source, order)
    tensor = translation.graph.tensors[given]
    taken = Scaling(scaling.scale, scaling.zero + SHIFT)
    translation.graph.tensors[given] = FileTensor(tensor.shape, tensor.type, taken, None, tensor.name)
    result = translation.hold(name, order, scaling)
    translation.call(Code.QUANTIZE, [given], [result], schema.QuantizeOptionsT(), 2)


def _stored(translation: Translation, node: onnx.NodeProto) -> Packed:
    """A constant in integers. Of int32, a bias, the scale has the axis 0."""
    integers, scale, *zero = (translation.constants[name] for name in node.input)
    shift = integers.dtype.type(0)
    offset = zero[0].astype(np.int64) if zero else np.zeros(scale.shape, np.int64)
    if integers.dtype == np.uint8:
        integers, offset = (integers.astype(np.int16) - SHIFT).astype(np.int8), offset - SHIFT
    elif integers.dtype not in (np.int8, np.int32):
        raise ModelError(f"a constant of {integers.dtype} has no form in LiteRT")
    axis = qdq.attribute(node, "axis", 1) % max(integers.ndim, 1) if scale.size > 1 else 0
    return Packed(integers + shift, Scaling(scale.ravel().astype(np.float32), offset.ravel(), axis))


def keep_constants(translation: Translation, model: onnx.ModelProto) -> set[str]:
    """Note the constants that a Cast, or a Cast and a Mul, make floats of. Returns the outputs of these operators.

    Constants in float16 are at hand in float32 too, for operators that compute with them here.
    """
    done: set[str] = set()
    for node in model.graph.node:
        source = translation.constants.get(node.input[0]) if node.input else None
        if node.op_type == "Cast" and source is not None and source.dtype in (np.float16, np.int8):
            name = node.output[0]
            if source.dtype == np.float16:
                translation.constants[name] = source.astype(np.float32)
            if source.dtype == np.int8 or source.size >= WORTHWHILE:
                translation.kept[name] = Packed(source, None)
            translation.shapes[name] = source.shape
            done.add(name)
        elif node.op_type == "Mul" and node.input[0] in done and node.input[1] in translation.constants:
            kept, scale = translation.kept[node.input[0]], translation.constants[node.input[1]]
            if kept.values.dtype == np.int8 and max(scale.shape, default=1) == scale.size:
                axis = scale.shape.index(scale.size) if scale.size > 1 else 0
                scaling = Scaling(scale.ravel().astype(np.float32), np.zeros(scale.size, np.int64), axis)
                translation.kept[node.output[0]] = Packed(kept.values, scaling)
                translation.shapes[node.output[0]] = kept.values.shape
                done.add(node.output[0])
    return done


def cast(translation: Translation, node: onnx.NodeProto) -> None:
    """Cast of computed values."""
    types = {TensorProto.FLOAT: Type.FLOAT32, TensorProto.INT32: Type.INT32, TensorProto.BOOL: Type.BOOL}
    source, order = node.input[0], translation.order(node.input[0])
    given = translation.tensor(source, order)
    wanted = types.get(qdq.attribute(node, "to", 0))
    if wanted is None:
        raise ModelError("a Cast to another type than float32, int32 and bool has no form in LiteRT")
    before = translation.graph.tensors[given]
    if before.type == wanted:
        translation.alias(node.output[0], source)
        return
    result = translation.between(before.shape, type_=wanted)
    translation.hold_as(node.output[0], result, order)
    options = option(schema.CastOptionsT(), inDataType=before.type, outDataType=wanted)
    translation.call(Code.CAST, [given], [result], options)
