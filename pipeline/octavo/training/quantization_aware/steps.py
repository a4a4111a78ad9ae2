"""The layer calls of a network as a flat list, in which nested models are flattened."""

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras as keras

WITH_ACTIVATION = {
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
}
"""Layers whose activation can become a separate layer."""


class Slot:
    """Placeholder for a tensor."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer, with slots in place of tensors."""

    layer: keras.layers.Layer
    args: Any
    kwargs: Any
    outputs: list[Slot]

    @property
    def inputs(self) -> list[Slot]:
        return [each for each in tf.nest.flatten((self.args, self.kwargs)) if isinstance(each, Slot)]


def steps_of(model: keras.Model) -> tuple[Slot, list[Step], Slot]:
    """The input, the layer calls in an order in which they can run, and the output.

    `model` is a Sequential or functional model with one input and one output. A nested model is flattened if it is a
    graph of layers whose names are unique. If it was called for inference, its batch normalizations are frozen.
    """
    steps: list[Step] = []
    start = Slot()
    (end,) = _walk(model, [start], steps, Counter(layer.name for layer in _leaves(model)))
    return start, steps, end


def _walk(
    model: keras.Model, inputs: list[Slot], steps: list[Step], names: Counter[str], still: bool = False
) -> list[Slot]:
    """Append the calls in `model` to `steps`, and return its outputs. With `still`, they are calls for inference."""
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
                node.layer.trainable = False  # TFMOT loses the call's arguments, but keeps this
            outputs = [Slot() for _ in tf.nest.flatten(node.outputs)]
            steps.append(Step(node.layer, args, kwargs, outputs))
        known |= zip(map(id, tf.nest.flatten(node.outputs)), outputs, strict=True)
    return [known[id(output)] for output in model.outputs]


def _nodes(model: keras.Model) -> list[Any]:
    """The calls in `model` in an order in which they can run."""
    by_depth = model._nodes_by_depth  # noqa: SLF001 - Keras has no public way to walk a functional graph
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def _can_be_laid_out(layer: keras.layers.Layer, kwargs: dict[str, Any], names: Counter[str]) -> bool:
    """Whether it is a nested model that can be flattened: a graph of layers whose names are unique."""
    if not isinstance(layer, keras.Model) or not layer.outputs or set(kwargs) - {"training"}:
        return False
    return all(names[leaf.name] == 1 for leaf in _leaves(layer))


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of `model` and of its nested models, each once."""
    found: dict[int, keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model) and layer.outputs:
            found |= {id(leaf): leaf for leaf in _leaves(layer)}
        elif not isinstance(layer, keras.layers.InputLayer):
            found[id(layer)] = layer
    return list(found.values())


def split_activations(steps: list[Step], stays_float: Callable[[keras.layers.Layer], bool]) -> list[Step]:
    """Split layers that stay float only because of their activation: the activation becomes a separate layer."""
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
    """The layer with a linear activation, and its activation as a layer.

    None if it has no activation, or is not a Keras layer of a known class.
    """
    activation = getattr(layer, "activation", None)
    if type(layer) not in WITH_ACTIVATION or activation is None:
        return None
    linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    linear.build(layer.input_shape)
    linear.set_weights(layer.get_weights())
    return linear, keras.layers.Activation(activation, name=f"{layer.name}_activation")


def _replaced(structure: Any, known: dict[int, Slot]) -> Any:
    return tf.nest.map_structure(lambda each: known.get(id(each), each), structure)


def filled(structure: Any, tensors: dict[Slot, Any]) -> Any:
    """`structure` with a tensor in place of each slot."""
    return tf.nest.map_structure(lambda each: tensors[each] if isinstance(each, Slot) else each, structure)
