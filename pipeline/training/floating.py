"""Layers that TFMOT cannot quantize, kept in float inside a network whose other layers it does quantize.

TFMOT copies a network by its configuration, several times over, and loses what does not survive that: functions called
on tensors, lambdas, models inside models, layers of the user's own. So the graph is laid out anew. Models used as
layers are laid out in place, and every call of a layer that stays float is wrapped into one that TFMOT need not look
into. Where a layer that is quantized reads its output, that output is quantized, so that integers can be computed with.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import quantizers
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer


class Slot:
    """A tensor to come."""


@dataclass(frozen=True)
class Step:
    """One call of a layer; slots stand for tensors."""

    layer: keras.layers.Layer
    args: Any
    kwargs: Any
    outputs: list[Slot]

    @property
    def inputs(self) -> list[Slot]:
        return [each for each in tf.nest.flatten((self.args, self.kwargs)) if isinstance(each, Slot)]


class Float(keras.layers.Layer):
    """One call of a layer that stays in float; its outputs fake-quantized where `quantized`.

    Copies made from its configuration share the layer.
    """

    def __init__(self, number: int, step: Step, quantized: bool, **options: Any) -> None:
        super().__init__(**options)
        self.number, self.step, self.kept = number, step, step.layer
        self.quantizers = [_quantizer(f"output_{place}") for place in range(len(step.outputs))] if quantized else []

    def call(self, inputs: Any) -> Any:
        tensors = dict(zip(self.step.inputs, tf.nest.flatten(inputs), strict=True))
        args, kwargs = _filled((self.step.args, self.step.kwargs), tensors)
        outputs = tf.nest.flatten(self.kept(*args, **kwargs))
        if self.quantizers:
            outputs = [quantize(output) for quantize, output in zip(self.quantizers, outputs, strict=True)]
        return outputs if len(outputs) > 1 else outputs[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "number": self.number}


@dataclass
class Layout:
    """A network laid out anew."""

    model: keras.Model
    scope: dict[str, type[Float]] = field(default_factory=dict)
    """What Keras needs to copy it by its configuration."""


def lay_out(model: keras.Model, stays_float: Callable[[keras.layers.Layer], bool]) -> Layout:
    """`model` with a `Float` around each call of a layer that `stays_float`; as it is where there is none.

    The new network shares its weights with `model`. A layer whose activation alone is the obstacle is split in two.

    Args:
        model: a Sequential or functional model of one input and one output.
        stays_float: whether TFMOT cannot quantize the layer.
    """
    steps: list[Step] = []
    start = Slot()
    (end,) = _walk(model, [start], steps, Counter(layer.name for layer in _leaves(model)))
    steps = _split_activations(steps, stays_float)
    kept = [step for step in steps if stays_float(step.layer)]
    if not kept and {id(step.layer) for step in steps} <= set(map(id, model.layers)):
        return Layout(model)
    read = {slot for step in steps if not stays_float(step.layer) for slot in step.inputs}
    flags = [not read.isdisjoint(step.outputs) for step in kept]
    kind = _kind(kept, flags)
    inputs = keras.Input(model.input_shape[1:], name=model.input_names[0])
    tensors: dict[Slot, Any] = {start: inputs}
    names: Counter[str] = Counter()
    for step in steps:
        if stays_float(step.layer):
            name = step.layer.name
            names[name] += 1
            wrapped = kind(kept.index(step), name=name if names[name] == 1 else f"{name}_{names[name] - 1}")
            given = [tensors[slot] for slot in step.inputs]
            outputs = wrapped(given if len(given) > 1 else given[0])
        else:
            args, kwargs = _filled((step.args, step.kwargs), tensors)
            outputs = step.layer(*args, **kwargs)
        tensors |= zip(step.outputs, tf.nest.flatten(outputs), strict=True)
    return Layout(keras.Model(inputs, tensors[end], name=model.name), {kind.__name__: kind})


def _kind(kept: Sequence[Step], flags: Sequence[bool]) -> Any:
    """A class of its own for each network, so that a copy finds what it is a copy of by its number."""

    class Kept(Float):
        def __init__(self, number: int, **options: Any) -> None:
            super().__init__(number, kept[number], flags[number], **options)

    return Kept


def _walk(
    model: keras.Model, inputs: list[Slot], steps: list[Step], names: Counter[str], still: bool = False
) -> list[Slot]:
    """Append the calls in `model` to `steps`, and give its outputs; `still` calls them as for inference."""
    known: dict[int, Slot] = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in _nodes(model):
        args, kwargs = _replaced((node.call_args, node.call_kwargs), known)
        if still and "training" in inspect.signature(node.layer.call).parameters:
            kwargs["training"] = False
        if _can_be_laid_out(node.layer, kwargs, names):
            still_inside = still or kwargs.get("training") is False
            outputs = _walk(node.layer, tf.nest.flatten(args), steps, names, still_inside)
        else:
            if still and isinstance(node.layer, keras.layers.BatchNormalization):
                node.layer.trainable = False  # TFMOT forgets how a layer was called, but not this
            outputs = [Slot() for _ in tf.nest.flatten(node.outputs)]
            steps.append(Step(node.layer, args, kwargs, outputs))
        known |= zip(map(id, tf.nest.flatten(node.outputs)), outputs, strict=True)
    return [known[id(output)] for output in model.outputs]


def _nodes(model: keras.Model) -> list[Any]:
    """The calls in `model` in an order in which they can be made."""
    by_depth = model._nodes_by_depth  # noqa: SLF001 - Keras offers no public way through a functional graph
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def _can_be_laid_out(layer: keras.layers.Layer, kwargs: dict[str, Any], names: Counter[str]) -> bool:
    """A model used as a layer: a graph of layers whose names are theirs alone."""
    if not isinstance(layer, keras.Model) or not layer.outputs or set(kwargs) - {"training"}:
        return False
    return all(names[leaf.name] == 1 for leaf in _leaves(layer))


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of `model` and of the models in it, each once."""
    found: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model) and layer.outputs:
            found |= {id(leaf): leaf for leaf in _leaves(layer)}
        elif not isinstance(layer, keras.layers.InputLayer):
            found[id(layer)] = layer
    return list(found.values())


def _split_activations(steps: list[Step], stays_float: Callable[[keras.layers.Layer], bool]) -> list[Step]:
    """Where a layer stays float for its activation alone, make that a layer of its own."""
    split: dict[int, tuple[keras.layers.Layer, keras.layers.Layer] | None] = {}
    made = []
    for step in steps:
        layer = step.layer
        if id(layer) not in split:
            split[id(layer)] = _split(layer) if stays_float(layer) else None
        parts = split[id(layer)]
        if parts is None or stays_float(parts[0]):
            made.append(step)
        else:
            between = Slot()
            made += [Step(parts[0], step.args, step.kwargs, [between]), Step(parts[1], (between,), {}, step.outputs)]
    return made


def _split(layer: keras.layers.Layer) -> tuple[keras.layers.Layer, keras.layers.Layer] | None:
    """The layer with a linear activation, and its activation; None where it has none, or is no layer of Keras' own."""
    activation = getattr(layer, "activation", None)
    if type(layer) not in WITH_ACTIVATION or activation is None:
        return None
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    linear.build(layer.input_shape)
    linear.set_weights(layer.get_weights())
    return linear, keras.layers.Activation(activation, name=f"{layer.name}_activation")


WITH_ACTIVATION = {
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
}


def _replaced(structure: Any, known: dict[int, Slot]) -> Any:
    return tf.nest.map_structure(lambda each: known.get(id(each), each), structure)


def _filled(structure: Any, tensors: dict[Slot, Any]) -> Any:
    return tf.nest.map_structure(lambda each: tensors[each] if isinstance(each, Slot) else each, structure)


def _quantizer(name: str) -> QuantizeLayer:
    quantizer = quantizers.MovingAverageQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
    return QuantizeLayer(quantizer, name=name)
