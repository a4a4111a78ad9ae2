"""DVC stage `evaluate`: one variant and the sealed test split in, its quality, size and proof out."""

import sys

from pipeline import evaluation, layout, proof
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.runtimes import open_model
from pipeline.scorecard import Evaluation, ModelFile
from pipeline.splits import load_split


@boundary()
def main(name: str) -> None:
    params = load_params()
    model, baseline = layout.model(name), layout.model(params.baseline)
    control = [layout.exported("control") / "model.onnx"] if params.variant(name).source == "qat" else []
    test = load_split(layout.split("test"))
    logits, *paired = (evaluation.logits(open_model(path), test.images) for path in (model, baseline, *control))
    card = Evaluation(
        model=ModelFile.of(model),
        quality=evaluation.judge(test, logits, *paired),
        size=proof.measure_size(model, baseline),
        proof=proof.prove(model),
    )
    evaluation.save(name, test, logits, card)


if __name__ == "__main__":
    main(sys.argv[1])
