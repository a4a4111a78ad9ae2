"""Resize: nearest and bilinear. LiteRT has three ways to place pixels each; the one that gives the same is taken."""

import itertools
import math

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.operators.shaping import moved
from octavo.quantization.litert.translation import Code, Translation, option

CLOSE = 1e-5
"""Of a pixel."""
WAYS = tuple(itertools.product((False, True), (False, True)))
"""Align corners, half-pixel centres."""


def resize(translation: Translation, node: onnx.NodeProto) -> None:
    """Resize of two spatial axes.

    Raises:
        ModelError: LiteRT places its pixels elsewhere, or has not its mode.
    """
    source, name = node.input[0], node.output[0]
    mode = qdq.attribute(node, "mode", b"nearest").decode()
    given_shape, wanted = translation.shape(source), translation.shape(name)
    if len(given_shape) != 4 or mode not in ("nearest", "linear") or qdq.attribute(node, "antialias", 0):
        raise ModelError(f"a Resize of mode '{mode}' and {len(given_shape)} axes has no form in LiteRT")
    last = layouts.channels_last(4)
    if given_shape[:2] != wanted[:2]:
        last = layouts.same(4)
        if given_shape[::3] != wanted[::3]:
            raise ModelError("a Resize of other than two spatial axes has no form in LiteRT")
    axes = [(given_shape[axis], wanted[axis]) for axis in last[1:3]]
    scales = _scales(translation, node, [size for axis in last[1:3] for size in [axis]])
    asked = [_places(node, *pair, scale) for pair, scale in zip(axes, scales, strict=True)]
    nearest = mode == "nearest"
    way = next(
        (
            way
            for way in WAYS
            if all(_agree(pair, ask, way, nearest, node) for pair, ask in zip(axes, asked, strict=True))
        ),
        None,
    )
    if way is None:
        how = qdq.attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
        raise ModelError(f"a Resize by mode '{mode}' that places pixels by '{how}' has no form in LiteRT")
    given, scaling = moved(translation, source, last)
    result = translation.hold(name, last, scaling)
    made = schema.ResizeNearestNeighborOptionsT() if nearest else schema.ResizeBilinearOptionsT()
    options = option(made, alignCorners=way[0], halfPixelCenters=way[1])
    code = Code.RESIZE_NEAREST_NEIGHBOR if nearest else Code.RESIZE_BILINEAR
    size = translation.constant(np.array([pair[1] for pair in axes], np.int32))
    translation.call(code, [given, size], [result], options, 3)


def _scales(translation: Translation, node: onnx.NodeProto, axes: list[int]) -> list[float | None]:
    """The factor of each axis, where the node gives factors and not sizes."""
    name = node.input[2] if len(node.input) > 2 else node.input[1] if len(node.input) == 2 else ""
    values = translation.constants.get(name)
    if values is None or not values.size:
        return [None] * len(axes)
    rank = translation.rank(node.input[0])
    listed = [axis % rank for axis in qdq.attribute(node, "axes", range(rank))]
    return [float(values[listed.index(axis)]) if axis in listed else None for axis in axes]


def _places(node: onnx.NodeProto, given: int, wanted: int, scale: float | None) -> np.ndarray:
    """For each pixel that is wanted the place in the input, float64, as ONNX's specification of Resize says."""
    out = np.arange(wanted, dtype=np.float64)
    factor = wanted / given if scale is None else scale
    match qdq.attribute(node, "coordinate_transformation_mode", b"half_pixel").decode():
        case "asymmetric":
            return out / factor
        case "align_corners":
            return out * (given - 1) / (wanted - 1) if wanted > 1 else out * 0
        case "pytorch_half_pixel":
            return (out + 0.5) / factor - 0.5 if wanted > 1 else out * 0
        case "half_pixel":
            return (out + 0.5) / factor - 0.5
        case "tf_half_pixel_for_nn":
            return (out + 0.5) / factor
        case _:
            return np.full(wanted, math.nan)


def _agree(
    pair: tuple[int, int], asked: np.ndarray, way: tuple[bool, bool], nearest: bool, node: onnx.NodeProto
) -> bool:
    """Whether LiteRT takes each pixel from the same place of the input."""
    given, wanted = pair
    corners, centres = way
    if corners and centres:
        return False
    factor = (given - 1) / (wanted - 1) if corners and wanted > 1 else given / wanted
    out = np.arange(wanted, dtype=np.float64)
    if nearest:
        found = (out + 0.5 if centres else out) * factor
        whole = np.floor(found + 0.5) if corners else np.floor(found)
        return np.array_equal(np.clip(_rounded(asked, node), 0, given - 1), np.clip(whole, 0, given - 1))
    found = (out + 0.5) * factor - 0.5 if centres else out * factor
    return bool(np.allclose(np.clip(asked, 0, given - 1), np.clip(found, 0, given - 1), atol=CLOSE))


def _rounded(places: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    match qdq.attribute(node, "nearest_mode", b"round_prefer_floor").decode():
        case "round_prefer_floor":
            return np.ceil(places - 0.5)
        case "round_prefer_ceil":
            return np.floor(places + 0.5)
        case "ceil":
            return np.ceil(places)
        case _:
            return np.floor(places)
