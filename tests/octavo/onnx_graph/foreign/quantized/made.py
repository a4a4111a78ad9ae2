"""Networks that were trained with quantization, as PyTorch, Brevitas and AIMET export them, made with onnx alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx

from tests.octavo.onnx_graph.foreign.made import CLASSES, IMAGE, model, node

Weights = Literal["integers", "float", "clipped"]
Biases = Literal["float", "int32", "int8", "none"]


@dataclass(frozen=True)
class Style:
    """How a tool writes what was learned."""

    weights: Weights = "float"
    """As float constants before a QuantizeLinear, the same with a Clip behind it, or as integers."""
    weight_type: type[np.integer[Any]] = np.int8
    weight_zero: int = 0
    per_channel: bool = True
    weight_bits: int = 8
    narrow: bool = False
    """-127..127 instead of -128..127."""
    biases: Biases = "float"
    activations: type[np.integer[Any]] = np.uint8
    symmetric: bool = False
    """int8 with zero point 0, also behind a ReLU."""
    activation_bits: int = 8
    power_of_two: bool = False
    zeros_written: bool = True


PYTORCH = Style()
BREVITAS = Style("clipped", biases="int32", activations=np.int8, symmetric=True, narrow=True, power_of_two=True)
AIMET = Style("integers", biases="int32", activations=np.int8, symmetric=True, per_channel=False)


@dataclass
class Builder:
    """Puts a network together, operator by operator; each method returns the name of its result."""

    style: Style
    seed: int = 0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    scales: dict[str, np.float32] = field(default_factory=dict)
    """Of the activations, by the name behind the pair."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = self.name(kind)
        self.nodes.append(node(kind, inputs, [name], name=f"/{name}", **attributes))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = array
        return name

    def scale(self, value: float) -> np.float32:
        return np.float32(2.0 ** np.ceil(np.log2(value)) if self.style.power_of_two else value)

    def pair(self, source: str, peak: float = 3.0, positive: bool = False) -> str:
        """Round an activation whose values reach to `peak`; if `positive`, they are not negative."""
        style = self.style
        bits = style.activation_bits
        limits = np.iinfo(style.activations)
        if style.symmetric:
            zero, levels = 0, 2 ** (bits - 1) - 1
        elif positive:
            zero, levels = int(limits.min), 2**bits - 1
        else:
            levels = 2 ** (bits - 1) - 1
            zero = int(limits.min) + levels + 1 + int(self.rng.integers(-9, 9)) * (bits == 8)
        name = self.name("range")
        scale = self.scale(peak / levels)
        parameters = [self.constant(f"{name}_s", np.array(scale, np.float32))]
        if style.zeros_written or zero or style.activations is np.int8:
            parameters.append(self.constant(f"{name}_z", np.array(zero, style.activations)))
        rounded = self.add("QuantizeLinear", source, *parameters)
        if bits < 8 or style.weights == "clipped":
            low = zero - levels - (not style.narrow) if style.symmetric else int(limits.min)
            high = zero + levels if style.symmetric else int(limits.min) + 2**bits - 1
            ends = [np.array(max(low, limits.min), style.activations), np.array(high, style.activations)]
            rounded = self.add("Clip", rounded, *(self.constant(f"{name}_{at}", each) for at, each in enumerate(ends)))
        result = self.add("DequantizeLinear", rounded, *parameters)
        self.scales[result] = scale
        return result

    def stored(self, shape: Sequence[int], axis: int) -> tuple[str, np.ndarray]:
        """A dequantized weight, and its scale."""
        style, name = self.style, self.name("weight")
        limits = np.iinfo(style.weight_type)
        high = 2 ** (style.weight_bits - 1) - 1
        low = -high - (not style.narrow)
        fan_in = int(np.prod(shape)) // shape[axis]
        channels = shape[axis] if style.per_channel else ()
        scale = self.rng.uniform(0.5, 1.5, channels) * 3 / (fan_in**0.5 * high)
        scale = np.vectorize(self.scale, otypes=[np.float32])(scale).astype(np.float32)
        zero = np.full(scale.shape, style.weight_zero, style.weight_type)
        spread = scale.reshape([-1 if at == axis else 1 for at in range(len(shape))]) if scale.ndim else scale
        steps = np.clip(np.rint(self.rng.normal(0, high / 3, shape)), low, high)
        integers = np.clip(steps + style.weight_zero, limits.min, limits.max)
        parameters = [self.constant(f"{name}_s", scale), self.constant(f"{name}_z", zero)]
        where = {"axis": axis} if style.per_channel else {}
        if style.weights == "integers":
            source = self.constant(name, integers.astype(style.weight_type))
        else:
            real = ((integers - style.weight_zero + self.rng.uniform(-0.3, 0.3, shape)) * spread).astype(np.float32)
            source = self.add("QuantizeLinear", self.constant(name, real), *parameters, **where)
        if style.weights == "clipped":
            ends = [np.array(each + style.weight_zero, style.weight_type) for each in (low, high)]
            source = self.add("Clip", source, *(self.constant(f"{name}_{at}", each) for at, each in enumerate(ends)))
        return self.add("DequantizeLinear", source, *parameters, **where), scale

    def bias(self, source: str, scale: np.ndarray, channels: int) -> list[str]:
        name, kind = self.name("bias"), self.style.biases
        real = self.rng.normal(0, 0.3, channels).astype(np.float32)
        if kind == "none":
            return []
        if kind == "float" or source not in self.scales:
            return [self.constant(name, real)]
        products = (scale * self.scales[source]).astype(np.float32) if kind == "int32" else np.float32(0.01)
        steps = np.rint(real / products).astype(np.int32 if kind == "int32" else np.int8)
        parameters = [self.constant(name, steps), self.constant(f"{name}_s", np.asarray(products, np.float32))]
        return [self.add("DequantizeLinear", *parameters, **({"axis": 0} if products.ndim else {}))]

    def conv(self, source: str, inputs: int, outputs: int, group: int = 1) -> str:
        weights, scale = self.stored((outputs, inputs // group, 3, 3), 0)
        return self.add("Conv", source, weights, *self.bias(source, scale, outputs), pads=[1] * 4, group=group)

    def normalized(self, source: str, channels: int) -> str:
        """Batch normalization."""
        parts = {"gain": self.rng.uniform(0.5, 1.5, channels), "shift": self.rng.normal(0, 0.2, channels)}
        parts |= {"mean": self.rng.normal(0, 0.2, channels), "variance": self.rng.uniform(0.5, 1.5, channels)}
        parts["gain"][0] *= -1
        name = self.name("bn")
        names = [self.constant(f"{name}_{part}", array.astype(np.float32)) for part, array in parts.items()]
        return self.add("BatchNormalization", source, *names)

    def dense(self, source: str, inputs: int, outputs: int, form: str) -> str:
        """A dense layer, as Gemm with and without transB, MatMul and Add, or MatMul of transposed weights and Add."""
        turned = form in ("transB", "transposed")
        weights, scale = self.stored((outputs, inputs) if turned else (inputs, outputs), 0 if turned else 1)
        if form == "transposed":
            weights = self.add("Transpose", weights, perm=[1, 0])
        if form in ("transB", "gemm"):
            where = {"transB": 1, "alpha": 1.0, "beta": 1.0} if turned else {}
            return self.add("Gemm", source, weights, *self.bias(source, scale, outputs), **where)
        product = self.add("MatMul", source, weights)
        return self.add("Add", product, *found) if (found := self.bias(source, scale, outputs)) else product

    def relu(self, source: str, six: bool = False) -> str:
        if not six:
            return self.add("Relu", source)
        ends = [self.constant(f"{source}_{at}", np.array(each, np.float32)) for at, each in enumerate((0, 2.5))]
        return self.add("Clip", source, *ends)

    def done(
        self, result: str, opset: int = 17, batch: int | str = "N", image: tuple[int, ...] = IMAGE
    ) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "output" if self.nodes[-1].output[0] == result else result
        return model(self.nodes, self.constants, batch, image, opset)


def residual(style: Style, seed: int = 0, normalized: bool = False, form: str = "transB") -> onnx.ModelProto:
    """Convolution, depthwise convolution, Add, Concat, pooling and a dense layer, all between pairs."""
    made = Builder(style, seed)
    x = made.pair("input", 4.0)
    first = made.conv(x, IMAGE[0], 8)
    first = made.normalized(first, 8) if normalized else first
    first = made.pair(made.relu(first), positive=True)
    second = made.pair(made.conv(first, 8, 8, group=8))
    both = made.pair(made.relu(made.add("Add", first, second)), 5.0, positive=True)
    third = made.relu(made.conv(both, 8, 8), six=True)
    pooled = made.add("MaxPool", made.pair(third, 2.5, positive=True), kernel_shape=[2, 2], strides=[2, 2])
    other = made.add("MaxPool", both, kernel_shape=[2, 2], strides=[2, 2])
    joined = made.pair(made.add("Concat", pooled, other, axis=1), 5.0, positive=True)
    mean = made.pair(made.add("GlobalAveragePool", joined), 4.0, positive=True)
    return made.done(made.dense(made.add("Flatten", mean), 16, CLASSES, form))


def drawn_network(seed: int) -> tuple[Style, onnx.ModelProto]:
    """A style and a network at random."""
    rng = np.random.default_rng([7, seed])

    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    style = Style(
        weights=pick("integers", "float", "clipped"),
        per_channel=pick(True, False),
        weight_bits=pick(8, 8, 7, 4),
        narrow=pick(True, False),
        biases=pick("float", "int32", "int8", "none"),
        activations=pick(np.uint8, np.int8),
        activation_bits=pick(8, 8, 8, 4),
        power_of_two=pick(True, False),
        zeros_written=pick(True, False),
    )
    style = Style(**{**style.__dict__, "symmetric": style.activations is np.int8 and pick(True, False)})
    made = Builder(style, seed)
    value, channels, side = made.pair("input", 4.0), IMAGE[0], IMAGE[1]
    known: dict[tuple[int, int], list[str]] = {(channels, side): [value]}
    for _ in range(rng.integers(2, 6)):
        kind = pick("conv", "conv", "depthwise", "add", "pool", "concat", "island")
        others = known[channels, side]
        if kind in ("conv", "depthwise"):
            outputs = channels if kind == "depthwise" else int(pick(4, 8))
            value = made.conv(value, channels, outputs, channels if kind == "depthwise" else 1)
            channels = outputs
            value = made.normalized(value, channels) if pick(True, False, False) else value
            clipped = pick("no", "relu", "six")
            value = value if clipped == "no" else made.relu(value, clipped == "six")
            value = made.pair(value, pick(2.0, 3.0), positive=clipped != "no")
        elif kind == "add":
            value = made.pair(made.add("Add", value, others[rng.integers(len(others))]), 5.0)
        elif kind == "concat":
            other = others[rng.integers(len(others))]
            value, channels = made.pair(made.add("Concat", value, other, axis=1), 5.0), channels * 2
        elif kind == "pool" and side > 2:
            value, side = made.add("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2]), side // 2
            value = made.pair(value, 3.0)
        elif kind == "island":
            value = made.pair(made.add("Sigmoid", value), 1.0, positive=True)
        known.setdefault((channels, side), []).append(value)
    if pick(True, False):
        value, side = made.pair(made.add("GlobalAveragePool", value), 2.0), 1
    flat = made.add("Flatten", value)
    made.scales[flat] = made.scales[value]
    result = made.dense(flat, channels * side * side, CLASSES, pick("transB", "gemm", "matmul", "transposed"))
    result = made.pair(result, 8.0) if pick(True, False) else result
    return style, made.done(result, int(pick(13, 15, 17, 19, 21)))
