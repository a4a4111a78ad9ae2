"""One network, trained and exported as `params.yaml` asks; or why there is none, in its place."""

from collections.abc import Callable

import tf_keras as keras

from octavo.backends import network_notes
from octavo.data.input_encoding import pixels
from octavo.data.splits import load_manifest, load_split
from octavo.project import paths, story
from octavo.project.errors import ModelError
from octavo.project.params.networks import Fit
from octavo.project.params.params import Params
from octavo.training import ending, export, fit, networks, qat


def network(name: str, params: Params) -> str:
    """Build, train and export the network called `name`; a network that no variant needs leaves a marker instead.

    Returns:
        What came of it, as a sentence.

    Raises:
        ParamsError: its builder cannot be used.
        ModelError: training diverges, or the trained network cannot be exported.
    """
    if reason := _why_not_needed(name, params):
        return _refuse(name, reason)
    model, squashing = _built(name, params)
    notes = [ending.taken_off(squashing)] if squashing else []
    for note in notes:
        story.say(note)
    return _trained(model, name, params.networks[name], notes)


def finetuned(name: str, params: Params) -> str:
    """Fine-tune and export the network called `name`; one that no variant needs leaves a marker instead.

    Where TFMOT or the export refuses a quantization-aware network, the reason is written in its place, and only the
    variants made from it are refused.

    Returns:
        What came of it, as a sentence.

    Raises:
        ModelError: training diverges, or a float network cannot be exported.
    """
    if reason := _why_not_needed(name, params):
        return _refuse(name, reason)
    parent = params.finetuned[name].parent
    model, squashing = _built(name, params)
    notes = [ending.taken_off(squashing)] if squashing else []
    fit.restore(model, paths.weights(parent))
    if not params.is_quantization_aware(name):
        return _trained(model, name, params.finetuned[name], notes)
    try:
        return _quantization_aware(model, name, params.finetuned[name], notes)
    except ModelError as error:
        return _refuse(
            name, f"Refused network {name}, and with it the variants of source '{name}': {error}", str(error)
        )


def _quantization_aware(model: keras.Model, name: str, budget: Fit, notes: list[str]) -> str:
    calibration = pixels(load_split(paths.split("calibration")).images)
    model = qat.annotate(model)
    qat.initialize_ranges(model, calibration)
    if left := qat.float_layers(model):
        story.say(qat.in_float(left))
        notes = [*notes, qat.in_float(left)]
    return _trained(model, name, budget, notes, lambda: qat.widen(model, calibration))


def _trained(
    model: keras.Model, name: str, budget: Fit, notes: list[str], finish: Callable[[], None] = lambda: None
) -> str:
    """Train, finish, save and export; the sentence that says so."""
    curve = fit.fit(model, load_split(paths.split("train")), load_split(paths.split("selection")), budget, name)
    finish()
    fit.save(model, curve, paths.network(name))
    with story.counter(f"export {name}"):
        export.export(model, pixels(load_split(paths.split("calibration")).images), paths.exported(name))
    network_notes.write(paths.exported(name), notes)
    accuracy = curve["val_accuracy"].iloc[-1]
    return f"{name}: {len(curve)} epochs, accuracy {accuracy:.4f} on the selection split"


def _why_not_needed(name: str, params: Params) -> str | None:
    if name in params.needed():
        return None
    users = [user for user in params.finetuned if name in (params.control(user), params.finetuned[user].parent)]
    sources = " or ".join(f"'{each}'" for each in (name, *users))
    return f"No variant in params.yaml has source {sources}, so network '{name}' is not trained."


def _refuse(name: str, sentence: str, reason: str | None = None) -> str:
    """Write `reason` in the place of the network, by default the sentence itself; returns the sentence."""
    for folder in (paths.network(name), paths.exported(name)):
        network_notes.refuse(folder, reason or sentence)
    return sentence


def _built(name: str, params: Params) -> tuple[keras.Model, str | None]:
    built, manifest = params.built(name), load_manifest(paths.MANIFEST)
    fit.pin(built.seed, built.threads)
    return networks.build_as_written(built.build, manifest.image_shape, len(manifest.classes))
