"""Train and export a network of `finetuned`: it starts from another network's weights, with or without fake
quantization.
"""

from typing import Any

import tf_keras as keras

from octavo.backends import network_notes
from octavo.data.input_encoding import encode
from octavo.data.splits import load_split
from octavo.project import paths, story
from octavo.project.errors import ModelError
from octavo.project.params.params import Params
from octavo.project.params.training import Fit
from octavo.training import make
from octavo.training.fitting import fit, library
from octavo.training.quantization_aware import qat


def finetune(name: str, params: Params) -> str:
    """Fine-tune and export the network called `name`. If no variant needs it, write a marker instead.

    If TFMOT or the export refuses a quantization-aware network, or its training diverges, the reason is written in its
    place. Then only the variants made from it are refused.

    Returns:
        The result as a clause.

    Raises:
        ModelError: training in float diverges, or a float network cannot be exported.
    """
    if reason := params.why_not_needed(name):
        network_notes.refuse_network(name, reason)
        return reason
    asked = params.finetuned[name]
    model, notes = make.built(name, params)
    if asked.parent not in params.brought:
        fit.restore(model, paths.weights(asked.parent))
    if not params.is_quantization_aware(name):
        return make.trained(model, name, asked, notes)
    try:
        return _quantization_aware(model, name, asked, notes)
    except ModelError as error:
        network_notes.refuse_network(name, str(error))
        return f"Refused network {name}, and so all variants with source '{name}': {error}"


def _quantization_aware(model: Any, name: str, budget: Fit, notes: list[str]) -> str:
    if library.of(model) is not keras:
        raise ModelError(
            f"Network '{name}' starts from one of Keras 3, and quantization-aware training takes networks of tf_keras. "
            "Build that one with 'import tf_keras as keras', or quantize it after training: static recipes need none."
        )
    calibration = encode(load_split(paths.split("calibration")).images, make.encoding_of(model))
    model = qat.annotate(model)
    qat.initialize_ranges(model, calibration)
    if left := qat.float_layers(model):
        story.say(qat.in_float(left))
        notes = [*notes, qat.in_float(left)]
    return make.trained(model, name, budget, notes, lambda: qat.widen(model, calibration))
