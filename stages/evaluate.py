"""DVC stage `evaluate`: one variant and the sealed test split in, its quality, size, proof and errors out."""

import sys

from pipeline import evaluation, layer_error, layout, model_files, parity, proof, remarks
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.runtimes import open_model
from pipeline.scorecard import Evaluation
from pipeline.splits import load_manifest, load_split


@boundary()
def main(name: str) -> None:
    params = load_params()
    model, baseline = layout.model(name), layout.model(params.baseline)
    networks = ["qat", "control"] if params.variant(name).source == "qat" else [params.variant(name).source]
    exported = [layout.exported(network) / "model.onnx" for network in networks]
    classes = load_manifest(layout.MANIFEST).classes
    test, calibration = load_split(layout.split("test")), load_split(layout.split("calibration"))
    variant, *others = (open_model(path) for path in (model, baseline, *exported))
    logits, beside, network, *control = (evaluation.logits(each, test.images) for each in (variant, *others))
    fed = variant.feed(calibration.images)
    card = Evaluation(
        model=model_files.of(model),
        quality=evaluation.judge(test, logits, beside, control[0] if control else None, classes),
        size=proof.measure_size(model, baseline),
        proof=proof.prove(model, fed),
        parity={"network": parity.compare(logits, network, proof.output_step(model))},
        interface=proof.interface(model),
        layer_sqnr_db=layer_error.measure(model, exported[0], calibration.images, fed),
        notes=remarks.read(exported[0].parent),
    )
    evaluation.save(name, test, logits, card)


if __name__ == "__main__":
    main(sys.argv[1])
