"""Keep layers that TFMOT cannot quantize in float, inside a network whose other layers it quantizes.

TFMOT copies a network through its configuration several times. Function calls on tensors, lambdas, nested models and
the user's own layers do not survive that. So the graph is rebuilt: nested models are flattened, and every call of a
layer that stays float is wrapped in a layer that is opaque to TFMOT. If a quantized layer reads the output of such a
layer, that output is fake-quantized, so the quantized layer can compute in integers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import quantizers
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

from octavo.training.quantization_aware.steps import Slot, Step, filled, split_activations, steps_of


class Float(keras.layers.Layer):
    """One call of a layer that stays in float. Its outputs are fake-quantized if `quantized`.

    Copies made from its configuration share the wrapped layer.
    """

    def __init__(self, number: int, step: Step, quantized: bool, **options: Any) -> None:
        super().__init__(**options)
        self.number, self.step, self.kept = number, step, step.layer
        self.quantizers = [_quantizer(f"output_{place}") for place in range(len(step.outputs))] if quantized else []

    def call(self, inputs: Any) -> Any:
        tensors = dict(zip(self.step.inputs, tf.nest.flatten(inputs), strict=True))
        args, kwargs = filled((self.step.args, self.step.kwargs), tensors)
        outputs = tf.nest.flatten(self.kept(*args, **kwargs))
        if self.quantizers:
            outputs = [quantize(output) for quantize, output in zip(self.quantizers, outputs, strict=True)]
        return outputs if len(outputs) > 1 else outputs[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "number": self.number}


@dataclass
class Layout:
    """A rebuilt network."""

    model: keras.Model
    scope: dict[str, type[Float]] = field(default_factory=dict)
    """Custom classes that Keras needs to copy the network through its configuration."""


def lay_out(model: keras.Model, stays_float: Callable[[keras.layers.Layer], bool]) -> Layout:
    """Rebuild `model` with a `Float` around each call of a layer that stays float.

    The new network shares its weights with `model`. A layer that TFMOT cannot quantize only because of its activation
    is split in two. If nothing has to change, the result has `model` itself.

    Args:
        model: a Sequential or functional model with one input and one output.
        stays_float: whether TFMOT cannot quantize the layer.
    """
    start, steps, end = steps_of(model)
    steps = split_activations(steps, stays_float)
    float_layers = _float_layers(steps, stays_float)
    if not float_layers and {id(step.layer) for step in steps} <= set(map(id, model.layers)):
        return Layout(model)
    kept = [step for step in steps if id(step.layer) in float_layers]
    read = {slot for step in steps if id(step.layer) not in float_layers for slot in step.inputs}
    kind = _kind(kept, [not read.isdisjoint(step.outputs) for step in kept])
    wrapped = dict(zip(map(id, kept), _wrapped(kept, kind), strict=True))
    inputs = keras.Input(model.input_shape[1:], name=model.input_names[0])
    tensors: dict[Slot, Any] = {start: inputs}
    for step in steps:
        if id(step) in wrapped:
            given = [tensors[slot] for slot in step.inputs]
            outputs = wrapped[id(step)](given if len(given) > 1 else given[0])
        else:
            args, kwargs = filled((step.args, step.kwargs), tensors)
            outputs = step.layer(*args, **kwargs)
        tensors |= zip(step.outputs, tf.nest.flatten(outputs), strict=True)
    return Layout(keras.Model(inputs, tensors[end], name=model.name), {kind.__name__: kind})


def _float_layers(steps: Sequence[Step], stays_float: Callable[[keras.layers.Layer], bool]) -> set[int]:
    """Ids of the layers that stay float, and of concatenations that read them: LiteRT quantizes all inputs or none.

    The ids are those of Python objects.
    """
    found: set[int] = set()
    floats: set[Slot] = set()
    for step in steps:
        mixed = isinstance(step.layer, keras.layers.Concatenate) and not floats.isdisjoint(step.inputs)
        if mixed or id(step.layer) in found or stays_float(step.layer):
            found.add(id(step.layer))
            floats.update(step.outputs)
    return found


def _kind(kept: Sequence[Step], quantized: Sequence[bool]) -> Any:
    """A separate class for each network, so that a copy can find its layer by its number."""

    class Kept(Float):
        def __init__(self, number: int, **options: Any) -> None:
            super().__init__(number, kept[number], quantized[number], **options)

    return Kept


def _wrapped(kept: Sequence[Step], kind: Any) -> list[Float]:
    """One wrapper for each call, named like the layer that it wraps. From the second call on, the name has a number."""
    calls: Counter[str] = Counter()
    layers = []
    for number, step in enumerate(kept):
        name = step.layer.name
        layers.append(kind(number, name=f"{name}_call_{calls[name]}" if calls[name] else name))
        calls[name] += 1
    return layers


def _quantizer(name: str) -> QuantizeLayer:
    quantizer = quantizers.MovingAverageQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
    return QuantizeLayer(quantizer, name=name)
