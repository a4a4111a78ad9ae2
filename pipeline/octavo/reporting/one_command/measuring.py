"""Make the model files, and measure each one on examples that no choice was made on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from octavo.backends import latency, layer_sqnr, model_files, network_notes
from octavo.backends.predictor import BATCH, Predictor, logits, notes, outputs
from octavo.backends.records import Acceptance, Latency, Refusal
from octavo.backends.registry import open_model
from octavo.data.splits import Samples, Split
from octavo.evaluation import evaluate, twins
from octavo.evaluation.assembly import MACHINE_DIGITS, digest
from octavo.evaluation.evaluate import Compared, ModelPaths
from octavo.evaluation.scorecard import Evaluation, Latencies, Lineage, Scorecard
from octavo.project import story
from octavo.project.errors import ModelError
from octavo.project.params.variants import VARIANT_NAME
from octavo.quantization import acceptance, recipes
from octavo.quantization.acceptance import FileRefused
from octavo.reporting.one_command.given.labelling import Division
from octavo.reporting.one_command.planning import BASELINE, Plan
from octavo.tasks.logits import CLASSIFICATION, NotFinite

ROUNDS, FEWEST = 30, 10
"""Blocks of calls for each model: as many as fit into `SECONDS`."""
SECONDS = 10.0
REMEDY = "The other variants do not depend on it."


@dataclass(frozen=True)
class Made:
    """What became of a plan."""

    files: dict[str, Path]
    """Variant -> its file."""
    acceptances: dict[str, Acceptance]
    refused: dict[str, Refusal]


def make(plan: Plan, network: Path, folder: Path, samples: Samples) -> Made:
    """Make every variant of the plan in a folder of its own in `folder`.

    Args:
        plan: the recipes.
        network: folder of the network.
        folder: where the variants go.
        samples: the examples that recipes may use.

    Raises:
        ModelError: there is no file of the baseline.
    """
    made = Made({}, {}, {})
    for name, options in plan.options.items():
        target = folder / name / model_files.path_of(name).name
        try:
            with story.counter(f"make {name}"):
                made.acceptances[name] = recipes.quantize(name, network, target, samples, options)
            made.files[name] = target
        except FileRefused as error:
            made.refused[name] = error.refusal.model_copy(update={"remedy": REMEDY})
    if BASELINE in made.refused:
        raise ModelError(
            f"The model itself cannot be measured. {made.refused[BASELINE].reason} Check the encoding of its input "
            "(--scale, --mean, --std, --layout), and the model."
        )
    return made


def measure(made: Made, network: Path, division: Division, lineage: Lineage) -> tuple[list[Scorecard], dict[str, Any]]:
    """The scorecards of all files, and the machine. A file whose outputs are not finite becomes a refusal in `made`.

    Args:
        made: the files.
        network: folder of the network.
        division: the examples.
        lineage: where the scorecards come from.
    """
    test = division.test.images
    source = logits(open_model(network / "model.onnx"), test, "The model")
    found = _evaluated(made, network, division, source)
    measured = {name: evaluation for name, (evaluation, _) in found.items()}
    timed = _timed({name: open_model(made.files[name]) for name in found}, test)
    machine = latency.describe_machine()
    cards = [
        _scorecard(
            name,
            evaluation.model_copy(
                update={"parity": evaluation.parity | twins.beside_twins(name, measured, lambda each: found[each][1])}
            ),
            _on_test(made.acceptances[name], source, answers),
            Latencies(threads=1, batches={"1": timed[name]}, machine=digest(machine)[:MACHINE_DIGITS]),
            lineage,
        )
        for name, (evaluation, answers) in found.items()
    ]
    return cards, machine


def _evaluated(
    made: Made, network: Path, division: Division, source: np.ndarray
) -> dict[str, tuple[Evaluation, np.ndarray]]:
    """What is measured on each file, and its logits. One file at a time is open: it keeps the memory of its batches.

    Args:
        made: the files. One whose outputs are not finite becomes a refusal.
        network: folder of the network.
        division: the examples.
        source: the network's logits, float32 (N, classes).
    """
    test = division.test.images
    beside, learned = logits(open_model(made.files[BASELINE]), test, BASELINE), network_notes.read(network)
    found: dict[str, tuple[Evaluation, np.ndarray]] = {}
    with story.counter("measure", len(made.files)) as advance:
        for name, path in made.files.items():
            predict = open_model(path)
            size = at_once(predict)
            paths = ModelPaths(path, made.files[BASELINE], network / "model.onnx")
            try:
                answers = logits(predict, test, name, size)
                compared = Compared(answers, beside, source)
                card = evaluate.measured(
                    predict, paths, division.test, compared, test[: layer_sqnr.IMAGES], division.classes
                )
                found[name] = card.model_copy(update={"notes": [*learned, *notes(predict, size)]}), answers
            except NotFinite as error:
                made.refused[name] = Refusal(cause="not finite", reason=str(error), remedy=REMEDY)
            advance()
    return found


def at_once(predict: Predictor) -> int:
    """How many images a call takes where answers are counted, and in `run.py`: as many as do not change an answer."""
    return 1 if predict.mixes else BATCH


def agreements(made: Made, network: Path, selection: Split) -> dict[str, float]:
    """Variant -> share of selection examples with the network's answer.

    Args:
        made: the files.
        network: folder of the network.
        selection: the examples that choices are made on.
    """
    source = logits(open_model(network / "model.onnx"), selection.images, "The model")
    found: dict[str, float] = {}
    for name in made.files.keys() - made.refused.keys():
        predict = open_model(made.files[name])
        answers = outputs(predict, selection.images, at_once(predict))
        found[name] = float(CLASSIFICATION.same(answers, source).mean())
    return found


def _on_test(accepted: Acceptance, source: np.ndarray, answers: np.ndarray) -> Acceptance:
    """The outputs compared with the network's on test examples, instead of those that ranges were made from.

    Args:
        accepted: the same figures on calibration examples.
        source: the network's logits, float32 (N, classes).
        answers: the file's logits, likewise.
    """
    return accepted.model_copy(update=acceptance.differences(source, answers, CLASSIFICATION))


def _timed(opened: Mapping[str, Predictor], images: np.ndarray) -> dict[str, Latency]:
    """Latency for one image, in as many rounds as fit into the time."""
    slow = {name: latency.seconds_a_call(predict, images[:1]) for name, predict in opened.items()}
    block = sum(2 * max(2 * each, latency.BLOCK_SECONDS) for each in slow.values())
    rounds = int(np.clip(SECONDS / block, FEWEST, ROUNDS))
    with story.counter("time", rounds) as advance:
        return latency.measure(opened, BASELINE, images, 1, rounds, advance=advance)


def _scorecard(
    name: str, evaluation: Evaluation, accepted: Acceptance, timed: Latencies, lineage: Lineage
) -> Scorecard:
    grammar = VARIANT_NAME.fullmatch(name)
    assert grammar
    return Scorecard(
        variant=name,
        source="model",
        recipe=name,
        **grammar.groupdict(),
        **{
            field: getattr(evaluation, field)
            for field in ("model", "quality", "size", "proof", "parity", "interface", "layer_sqnr_db", "notes")
        },
        latency=timed,
        acceptance=accepted,
        lineage=lineage,
    )
