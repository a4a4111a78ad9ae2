"""The steps that built and fine-tuned networks have in common: build, train, save, export, or refuse."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from octavo.backends import network_notes
from octavo.data.input_encoding import encode, fitted
from octavo.data.splits import load_manifest, load_split
from octavo.project import paths, story
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.params import Params
from octavo.project.params.training import Fit
from octavo.training import ending, export, networks
from octavo.training.fitting import fit, weighting
from octavo.training.keras_files import door


def built(name: str, params: Params) -> tuple[Any, list[str]]:
    """Build the network that `name` is derived from, with new weights; or open it, if it was brought as a file.

    Returns:
        The model, and notes for the scorecards, one sentence each.

    Raises:
        ParamsError: its builder cannot be used.
        ModelError: its file cannot be used.
    """
    root = params.root_name(name)
    if root in params.brought:
        return door.start(root, params)
    network, manifest = params.networks[root], load_manifest(paths.MANIFEST)
    fit.pin(network.seed, network.threads)
    model, squashing = networks.build_as_written(network.build, manifest.image_shape, len(manifest.classes))
    return model, [ending.taken_off(squashing)] if squashing else []


def trained(model: Any, name: str, budget: Fit, notes: Sequence[str], finish: Callable[[], None] = lambda: None) -> str:
    """Train, save and export `model` as the network called `name`.

    Args:
        model: from float32 images (N, H, W[, C]) to logits (N, classes).
        name: of the network.
        budget: how it is trained.
        notes: for the scorecards of variants that are made from it, one sentence each.
        finish: called between training and saving.

    Returns:
        The result as a clause.

    Raises:
        ModelError: training diverges, or the trained network cannot be exported.
    """
    encoding = encoding_of(model)
    train, selection = (load_split(paths.split(each)) for each in ("train", "selection"))
    weights = weighting.of_classes(budget.class_weights, train.labels, load_manifest(paths.MANIFEST).classes)
    curve = fit.fit(model, train, selection, budget, name, encoding, weights=weights)
    finish()
    fit.save(model, curve, paths.network(name))
    with story.counter(f"export {name}"):
        samples = encode(load_split(paths.split("calibration")).images, encoding)
        export.export(model, samples, paths.exported(name), encoding)
    network_notes.write(paths.exported(name), [*notes, *_stopped(curve, budget)])
    accuracies = curve["val_accuracy"]
    accuracy = accuracies[fit.kept_epoch(curve, budget)]
    return f"{name}: {len(accuracies)} epochs, accuracy {accuracy:.4f} on the selection split"


def _stopped(curve: fit.Curve, budget: Fit) -> Iterator[str]:
    if budget.early_stopping:
        better = "lowest loss" if budget.early_stopping.by == "loss" else "highest accuracy"
        yield (
            f"Training took {len(curve['loss'])} of {budget.epochs} epochs; the weights are those after epoch "
            f"{fit.kept_epoch(curve, budget) + 1}, which has the {better} on the selection split."
        )


def encoding_of(model: Any) -> InputEncoding:
    """How the data's examples become the input of `model`.

    Raises:
        DataError: it takes examples of another shape.
    """
    manifest = load_manifest(paths.MANIFEST)
    if not getattr(model, "inputs", None):  # a subclassed model takes them as the data declares them
        return manifest.encoding
    return fitted(manifest.encoding, manifest.image_shape, tuple(model.inputs[0].shape[1:]))
