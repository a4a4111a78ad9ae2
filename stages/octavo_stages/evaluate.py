"""DVC stage `evaluate`: one variant and the sealed test split in, its quality, size, proof and errors out."""

import sys

from octavo.backends import acceptance_record, layer_sqnr, model_files, network_notes, predictor
from octavo.backends.records import Refusal
from octavo.backends.registry import open_model
from octavo.data.splits import Split, load_manifest, load_split
from octavo.evaluation import integer_coverage, parity, write_results
from octavo.evaluation.scorecard import Evaluation
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params import Params, load_params
from octavo.tasks import classification
from octavo.tasks.logits import NotFinite


@boundary()
def main(name: str) -> None:
    params, test = load_params(), load_split(paths.split("test"))
    acceptance_record.check_baseline(params.baseline)
    refusal = acceptance_record.refusal(name)
    if refusal is None:
        try:
            _measure(name, params, test)
        except NotFinite as error:
            refusal = Refusal(cause="not finite", reason=str(error), remedy=acceptance_record.FINITE)
            print(f"Refused {name}: {refusal}", file=sys.stderr)
    if refusal:
        write_results.save_refused(name, refusal)


def _measure(name: str, params: Params, test: Split) -> None:
    model, baseline, source = paths.model(name), paths.model(params.baseline), params.variant(name).source
    exported = paths.exported(source) / "model.onnx"
    classes, calibration = load_manifest(paths.MANIFEST).classes, load_split(paths.split("calibration"))
    beside = write_results.baseline_logits(params.baseline, open_model(baseline), test.images)
    variant = open_model(model)
    logits = predictor.logits(variant, test.images, name)
    network = predictor.logits(open_model(exported), test.images, f"The network {source}")
    control, notes = write_results.control_logits(test.images) if source == "qat" else (None, [])
    fed = variant.feed(calibration.images)
    card = Evaluation(
        model=model_files.of(model),
        quality=classification.judge(test, logits, beside, control, classes),
        size=integer_coverage.measure_size(model, baseline),
        proof=integer_coverage.prove(model, fed),
        acceptance=acceptance_record.acceptance(name),
        parity={"network": parity.compare(logits, network, integer_coverage.output_step(model))},
        interface=integer_coverage.interface(model),
        layer_sqnr_db=layer_sqnr.measure(model, exported, calibration.images, fed),
        notes=[*network_notes.read(exported.parent), *notes],
    )
    write_results.save(name, test, logits, card)


if __name__ == "__main__":
    main(sys.argv[1])
