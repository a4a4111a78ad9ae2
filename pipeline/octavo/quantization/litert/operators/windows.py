"""Padding of operators that move a window over an image."""

from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import LOWEST, Fused
from octavo.quantization.litert.translation import Code, Translation


@dataclass(frozen=True)
class Window:
    """A window over `n` spatial axes."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    """Padding before the first pixel of each axis."""
    end: tuple[int, ...]
    """Padding after the last one. Negative if the window does not reach the last pixels."""
    covers: bool
    """Whether there is one output for each stride of the input."""

    @property
    def padding(self) -> int:
        """SAME or VALID, if LiteRT pads so by itself; -1 if padding must be an operator of its own."""
        if not any(self.begin) and all(extra <= 0 for extra in self.end):
            return int(schema.Padding.VALID)
        total = [max(low + high, 0) for low, high in zip(self.begin, self.end, strict=True)]
        low = tuple(each // 2 for each in total)
        return int(schema.Padding.SAME) if self.covers and self.begin == low else -1


def window(node: onnx.NodeProto, size: tuple[int, ...], source: tuple[int, ...], target: tuple[int, ...]) -> Window:
    """The window of a convolution or pooling.

    Args:
        node: the operator.
        size: of the window.
        source: spatial shape of the input.
        target: spatial shape of the output. Padding at the end is what it takes for it: `ceil_mode` counts.
    """
    count = len(size)
    strides = tuple(qdq.attribute(node, "strides", [1] * count))
    dilations = tuple(qdq.attribute(node, "dilations", [1] * count))
    reach = [(each - 1) * step + 1 for each, step in zip(size, dilations, strict=True)]
    needed = [
        (out - 1) * stride + span - given
        for out, stride, span, given in zip(target, strides, reach, source, strict=True)
    ]
    automatic = qdq.attribute(node, "auto_pad", b"NOTSET").decode()
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        total = [max(each, 0) for each in needed]
        begin = tuple((each + (automatic == "SAME_LOWER")) // 2 for each in total)
    else:
        begin = tuple(qdq.attribute(node, "pads", [0] * 2 * count)[:count]) if automatic == "NOTSET" else (0,) * count
    end = tuple(each - low for each, low in zip(needed, begin, strict=True))
    covers = all(out == -(-given // stride) for out, stride, given in zip(target, strides, source, strict=True))
    return Window(size, strides, dilations, begin, end, covers)


def padded(translation: Translation, source: int, begin: tuple[int, ...], end: tuple[int, ...], fill: float) -> int:
    """The tensor `source`, with the spatial axes padded by an operator; itself if there is nothing to add.

    Args:
        translation: the graph, which gets the operator.
        source: a tensor (N, ..., C).
        begin: pixels before each spatial axis.
        end: pixels after; negative counts as none.
        fill: 0, or -inf for the lowest value that the tensor can hold.
    """
    after = tuple(max(each, 0) for each in end)
    if not any((*begin, *after)):
        return source
    known = translation.graph.tensors[source]
    pairs = [(0, 0), *zip(begin, after, strict=True), (0, 0)]
    shape = [size + sum(pair) for size, pair in zip(known.shape, pairs, strict=True)]
    target = translation.between(shape, known.scaling)
    inputs = [source, translation.constant(np.array(pairs, np.int32))]
    version = 2 if known.scaling else 1
    if fill == 0 or (np.isinf(fill) and _starts_at_zero(translation, source)):
        translation.call(Code.PAD, inputs, [target], schema.PadOptionsT(), version)
    else:
        inputs.append(_filling(translation, known.scaling, fill))
        translation.call(Code.PADV2, inputs, [target], schema.PadV2OptionsT(), version)
    return target


def _starts_at_zero(translation: Translation, source: int) -> bool:
    """Whether 0 is the lowest value that a tensor can hold. XNNPACK pads with 0 only."""
    scaling = translation.graph.tensors[source].scaling
    if scaling is not None:
        return int(scaling.zero[0]) == LOWEST
    maker = next((call for call in reversed(translation.graph.calls) if source in call.outputs), None)
    fused = getattr(getattr(maker, "options", None), "fusedActivationFunction", None)
    return maker is not None and (maker.code in (Code.RELU, Code.RELU6) or fused in (Fused.RELU, Fused.RELU6))


def _filling(translation: Translation, scaling: Scaling | None, fill: float) -> int:
    if scaling is None:
        return translation.constant(np.array(np.finfo(np.float32).min if np.isinf(fill) else fill, np.float32))
    if not np.isinf(fill):
        raise ModelError("a padding in integers with another value than 0 has no form in LiteRT")
    return translation.constant(np.array(LOWEST, np.int8), scaling)


def widened(translation: Translation, view: Window, given: int, result: int) -> tuple[Window, int, int]:
    """A window over one axis as one over two, the first of size 1, with tensors of four axes.

    Args:
        translation: the graph, which gets a Reshape of the input.
        view: the window over one axis.
        given: the tensor it reads, of three axes.
        result: the tensor that the operator is to write, of three axes.

    Returns:
        The window, the tensor to read and one to write, both of four axes. `narrowed` reshapes what is written.
    """
    tensors = translation.graph.tensors
    view = Window(
        (1, *view.size), (1, *view.strides), (1, *view.dilations), (0, *view.begin), (0, *view.end), view.covers
    )
    batch, steps, channels = tensors[given].shape
    wide = translation.between((batch, 1, steps, channels), tensors[given].scaling)
    target = translation.constant(np.array([-1, 1, steps, channels], np.int32))
    translation.call(Code.RESHAPE, [given, target], [wide])
    batch, steps, channels = tensors[result].shape
    return view, wide, translation.between((batch, 1, steps, channels), tensors[result].scaling)


def narrowed(translation: Translation, source: int, target: int, name: str, order: layouts.Order) -> None:
    """Reshape a tensor of four axes into one of three, which holds the value `name` in `order`.

    Args:
        translation: the graph, which gets the operator.
        source: the tensor of four axes.
        target: the tensor of three.
        name: of the value.
        order: of its axes.
    """
    shape = translation.target(name)
    wanted = translation.constant(np.array([shape[axis] for axis in order], np.int32))
    translation.call(Code.RESHAPE, [source, wanted], [target])
