"""DVC stage `qat`: the float network fine-tuned with fake quantization, its ranges started from calibration."""

from pipeline import layout
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import load_manifest, load_split, pixels
from pipeline.training import fit, network, qat


@boundary()
def main() -> None:
    params = load_params()
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model = network.build(params.train.network, manifest.image_shape, len(manifest.classes))
    model = qat.annotate(fit.restore(model, layout.weights("fp32")))
    qat.initialize_ranges(model, pixels(load_split(layout.split("calibration")).images))
    train, selection = load_split(layout.split("train")), load_split(layout.split("selection"))
    curve = fit.fit(model, train, selection, params.qat, "qat")
    fit.save(model, curve, layout.network("qat"))


if __name__ == "__main__":
    main()
