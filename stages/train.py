"""DVC stage `train`: the train split in, the float network's weights and curve out."""

from pipeline import layout
from pipeline.dataset import load_manifest, load_split
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.training import fit, network


@boundary()
def main() -> None:
    train = load_params().train
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(train.seed, train.threads)
    model = network.build(train.network, manifest.image_shape, len(manifest.classes))
    curve = fit.fit(model, load_split(layout.split("train")), load_split(layout.split("selection")), train, "train")
    fit.save(model, curve, layout.network("fp32"))


if __name__ == "__main__":
    main()
