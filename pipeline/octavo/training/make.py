"""One network, trained and exported as `params.yaml` asks; or why there is none, in its place."""

import sys

import tf_keras as keras

from octavo.backends import network_notes
from octavo.data.input_encoding import pixels
from octavo.data.splits import Split, load_manifest, load_split
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.params.params import Params
from octavo.training import ending, export, fit, networks, qat


def network(name: str, params: Params) -> None:
    """Build, train and export the network called `name`; a network that no variant needs leaves a marker instead.

    Raises:
        ParamsError: its builder cannot be used.
        ModelError: training diverges, or the trained network cannot be exported.
    """
    if _is_needed(name, params):
        model, squashing = _built(name, params)
        if squashing:
            _say(ending.taken_off(squashing))
        curve = fit.fit(model, *_splits(), params.networks[name], name)
        fit.save(model, curve, paths.network(name))
        _export(model, name, [ending.taken_off(squashing)] if squashing else [])


def finetuned(name: str, params: Params) -> None:
    """Fine-tune and export the network called `name`; one that no variant needs leaves a marker instead.

    Where TFMOT or the export refuses a quantization-aware network, the reason is written in its place, and only the
    variants made from it are refused.

    Raises:
        ModelError: training diverges, or a float network cannot be exported.
    """
    if not _is_needed(name, params):
        return
    parent = params.finetuned[name].parent
    model, squashing = _built(name, params)
    notes = [ending.taken_off(squashing)] if squashing else []
    fit.restore(model, paths.weights(parent))
    if not params.is_quantization_aware(name):
        fit.save(model, fit.fit(model, *_splits(), params.finetuned[name], name), paths.network(name))
        _export(model, name, notes)
        return
    try:
        _quantization_aware(model, name, params, notes)
    except ModelError as error:
        _refuse(name, str(error))


def _quantization_aware(model: keras.Model, name: str, params: Params, notes: list[str]) -> None:
    calibration = pixels(load_split(paths.split("calibration")).images)
    model = qat.annotate(model)
    qat.initialize_ranges(model, calibration)
    if left := qat.float_layers(model):
        _say(qat.in_float(left))
        notes = [*notes, qat.in_float(left)]
    curve = fit.fit(model, *_splits(), params.finetuned[name], name)
    qat.widen(model, calibration)
    fit.save(model, curve, paths.network(name))
    _export(model, name, notes)


def _is_needed(name: str, params: Params) -> bool:
    if name in params.needed():
        return True
    users = [user for user in params.finetuned if params.control(user) == name or params.finetuned[user].parent == name]
    sources = " or ".join(f"'{each}'" for each in (name, *users))
    reason = f"No variant in params.yaml has source {sources}, so network '{name}' is not trained."
    for folder in (paths.network(name), paths.exported(name)):
        network_notes.refuse(folder, reason)
    _say(reason)
    return False


def _refuse(name: str, reason: str) -> None:
    for folder in (paths.network(name), paths.exported(name)):
        network_notes.refuse(folder, reason)
    _say(f"Refused network {name}, and with it the variants of source '{name}': {reason}")


def _built(name: str, params: Params) -> tuple[keras.Model, str | None]:
    built, manifest = params.built(name), load_manifest(paths.MANIFEST)
    fit.pin(built.seed, built.threads)
    return networks.build_as_written(built.build, manifest.image_shape, len(manifest.classes))


def _splits() -> tuple[Split, Split]:
    return load_split(paths.split("train")), load_split(paths.split("selection"))


def _export(model: keras.Model, name: str, notes: list[str]) -> None:
    export.export(model, pixels(load_split(paths.split("calibration")).images), paths.exported(name))
    network_notes.write(paths.exported(name), notes)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
