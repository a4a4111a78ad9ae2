"""DVC stage `evaluate`: one variant and the sealed test split in, its quality, size, proof and errors out."""

import sys

from pipeline import admission, classification, evaluation, layer_error, layout, model_files, parity, proof, remarks
from pipeline.errors import boundary
from pipeline.findings import Refusal
from pipeline.logits import NotFinite
from pipeline.params import Params, load_params
from pipeline.runtimes import open_model, predictor
from pipeline.scorecard import Evaluation
from pipeline.splits import Split, load_manifest, load_split


@boundary()
def main(name: str) -> None:
    params, test = load_params(), load_split(layout.split("test"))
    admission.check_baseline(params.baseline)
    refusal = admission.refusal(name)
    if refusal is None:
        try:
            _measure(name, params, test)
        except NotFinite as error:
            refusal = Refusal(cause="not finite", reason=str(error), remedy=admission.FINITE)
            print(f"Refused {name}: {refusal}", file=sys.stderr)
    if refusal:
        evaluation.save_refused(name, refusal)


def _measure(name: str, params: Params, test: Split) -> None:
    model, baseline, source = layout.model(name), layout.model(params.baseline), params.variant(name).source
    exported = layout.exported(source) / "model.onnx"
    classes, calibration = load_manifest(layout.MANIFEST).classes, load_split(layout.split("calibration"))
    beside = evaluation.baseline_logits(params.baseline, open_model(baseline), test.images)
    variant = open_model(model)
    logits = predictor.logits(variant, test.images, name)
    network = predictor.logits(open_model(exported), test.images, f"The network {source}")
    control, notes = evaluation.control_logits(test.images) if source == "qat" else (None, [])
    fed = variant.feed(calibration.images)
    card = Evaluation(
        model=model_files.of(model),
        quality=classification.judge(test, logits, beside, control, classes),
        size=proof.measure_size(model, baseline),
        proof=proof.prove(model, fed),
        acceptance=admission.acceptance(name),
        parity={"network": parity.compare(logits, network, proof.output_step(model))},
        interface=proof.interface(model),
        layer_sqnr_db=layer_error.measure(model, exported, calibration.images, fed),
        notes=[*remarks.read(exported.parent), *notes],
    )
    evaluation.save(name, test, logits, card)


if __name__ == "__main__":
    main(sys.argv[1])
