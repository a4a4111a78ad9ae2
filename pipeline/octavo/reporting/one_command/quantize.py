"""What `octavo quantize` does: read the model and the data, make and measure every variant, and say which to ship."""

import shutil
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from octavo.backends import network_notes
from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo.data.splits import Samples
from octavo.evaluation.scorecard import Lineage, Scorecards
from octavo.onnx_graph.foreign import bringing
from octavo.onnx_graph.foreign.comparison import EXAMPLES, Agreement
from octavo.project import paths
from octavo.project.cli import act
from octavo.project.files import atomic_write
from octavo.project.git.revision import digest
from octavo.project.params.policy import AgreementPolicy, Policy
from octavo.promotion import agreement, gate
from octavo.promotion.decision import Decision
from octavo.reporting import report
from octavo.reporting.one_command import measuring, planning
from octavo.reporting.one_command.given import labelling, network, preparing
from octavo.reporting.one_command.given.fitting import Encoding
from octavo.reporting.one_command.given.labelling import Division
from octavo.reporting.one_command.given.network import FloatNetwork
from octavo.reporting.one_command.given.preparing import GivenData, Prepared
from octavo.reporting.one_command.measuring import Made
from octavo.reporting.one_command.planning import BASELINE, Asked, Plan
from octavo.reporting.one_command.results import output_folder, run_files, shipping, telling
from octavo.reporting.one_command.results.shipping import Shipping
from octavo.reporting.one_command.results.telling import Result

LIMITS = {"max_size_ratio": 0.5, "max_latency_ratio": 1.25}
MAX_ACCURACY_DROP = 0.01
"""The limits of the `params.yaml` that Octavo comes with."""


def quantize(model: Path, data: Path, options: Mapping[str, Any]) -> None:
    """Make and measure all variants of a model, write them into a folder, and print which one to ship.

    Args:
        model: an ONNX file.
        data: examples, as `examples.read` lists them.
        options: of the command, by name.

    Raises:
        OctavoError: the model, the data or an option cannot be used. Nothing was written.
    """
    out: Path = options["out"] or Path(f"{model.stem}-octavo")
    output_folder.check(out, [path for path in (model, data, options["calibration"], options["test"]) if path])
    if options["register"]:
        act("check_registration", out.absolute().name)
    encoding = Encoding(options["scale"], options["mean"], options["std"])
    given = GivenData(data, options["calibration"], options["test"], encoding, options["unlabelled"])
    net = network.read(model, options["layout"])
    prepared = preparing.prepare(given, net)
    telling.tell_data(net, prepared)
    with output_folder.written(out) as folder:
        source = folder.with_name("network")
        telling.tell_network(_bring(net, prepared, source))
        division = labelling.label(source, prepared)
        plan = _plan(net, source, prepared, division, options)
        output_folder.require_kept(out, plan.options)
        telling.tell_plan(plan)
        with chdir(folder):
            result = _make(plan, source, prepared, division, given)
            shutil.rmtree(paths.ARTIFACTS, ignore_errors=True)
    telling.tell(result, out, options["as_json"])
    if options["register"]:
        act("register_quantized", out, result.shipping.ship, result.shipping.why)


def _bring(net: FloatNetwork, prepared: Prepared, source: Path) -> Agreement:
    """Write the network into the folder `source`, in the form that recipes start from, and compare the two."""
    some = encode(prepared.images["calibration"][:EXAMPLES], prepared.encoding)
    agreement = bringing.write(net.foreign, net.path, source / "model.onnx", some, prepared.encoding)
    network_notes.write(source, agreement.remarks)
    return agreement


def _plan(net: FloatNetwork, source: Path, prepared: Prepared, division: Division, options: Mapping[str, Any]) -> Plan:
    """What to make.

    Args:
        net: the network.
        source: the folder that it was brought to.
        prepared: the examples.
        division: the same with labels for all.
        options: of the command, by name.
    """
    images = encode(division.calibration, prepared.encoding), len(division.selection.labels)
    asked = Asked(options["recipes"], options["format"])
    return planning.plan(net, source / "model.onnx", asked, options["seconds"], images)


def _make(plan: Plan, source: Path, prepared: Prepared, division: Division, given: GivenData) -> Result:
    """Make everything in the working directory.

    Args:
        plan: what to make.
        source: the folder that the network was brought to.
        prepared: the examples.
        division: the same with labels for all.
        given: where they come from.
    """
    made = measuring.make(plan, source, Path(), Samples(division.calibration, division.selection))
    data = labelling.record(prepared, division, given)
    scorecards = _scorecards(made, source, division, data, plan)
    decision = _decide(scorecards, prepared.labelled)
    agreements = {} if decision.winner else measuring.agreements(made, source, division.selection)
    shipped = shipping.choose(scorecards, decision, agreements, given.test is None)
    _write(scorecards, decision, shipped, made)
    for card in scorecards.scorecards:
        file = made.files[card.variant]
        opened = open_model(file)
        example, at_once = division.test.images[0], measuring.at_once(opened)
        run_files.write(card, file, opened.input_encoding, example, division.classes, at_once)
    return Result(scorecards, decision, shipped, plan.left_out, prepared.remarks)


def _scorecards(made: Made, source: Path, division: Division, data: dict[str, Any], plan: Plan) -> Scorecards:
    """The scorecards of all variants, and what they were measured with.

    Args:
        made: the files.
        source: folder of the network.
        division: the examples.
        data: their description.
        plan: what was made.
    """
    lineage = Lineage(git=None, dvc_lock=None, data=data["digest"], params=digest(plan.options))
    cards, machine = measuring.measure(made, source, division, lineage)
    models = sorted((card.variant, card.model.sha256) for card in cards)
    return Scorecards(
        pipeline=digest({"models": models, "data": lineage.data, "params": lineage.params}),
        machine=machine,
        data=data,
        scorecards=cards,
        refused=made.refused,
    )


def _decide(scorecards: Scorecards, labelled: bool) -> Decision:
    if labelled:
        return gate.decide(scorecards, Policy(max_accuracy_drop=MAX_ACCURACY_DROP, **LIMITS), BASELINE)
    return agreement.decide(scorecards, AgreementPolicy(**LIMITS), BASELINE)


def _write(scorecards: Scorecards, decision: Decision, shipped: Shipping, made: Made) -> None:
    """Write the records and the report.

    Args:
        scorecards: of all variants.
        decision: of the gate.
        shipped: what to ship.
        made: the files.
    """
    trials = {name: path.with_name(paths.TRIALS_CSV) for name, path in made.files.items()}
    written = {
        output_folder.SCORECARDS: scorecards.model_dump_json(by_alias=True, indent=2),
        output_folder.DECISION: decision.model_dump_json(indent=2),
        output_folder.REPORT: report.page(scorecards, decision, {}, report.tables(trials), {}, shipped.why),
    }
    for name, text in written.items():
        atomic_write.write_text(Path(name), text.rstrip("\n") + "\n")
