"""Which networks are tried, and on what data."""

from dataclasses import dataclass

CLASSES = 10


@dataclass(frozen=True)
class Architecture:
    name: str
    builder: str
    """`module:function`, as `params.yaml` names a network of the user's own."""
    data: str
    """One of `inputs.KINDS`."""
    outputs: int = CLASSES
    """How many values come out: classes, or those of a picture."""
    epochs: int = 2
    """Of training: as many as it takes to tell most classes apart."""

    @property
    def classifies(self) -> bool:
        return self.outputs == CLASSES


def _of(module: str, data: str, *names: str, outputs: int = CLASSES, epochs: int = 2) -> list[Architecture]:
    return [Architecture(name, f"benchmarks.architectures.{module}:{name}", data, outputs, epochs) for name in names]


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        *_of("mobile", "colour", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "efficientnet", "shufflenet"),
        *_of("mobile", "colour", "squeezenet", "ghostnet"),
        *_of("convolutional", "colour", "resnet", "preactivation_resnet", "densenet", "inception", "xception"),
        *_of("convolutional", "colour", "darknet", "repvgg", "vgg"),
        *_of("convolutional", "grey", "lenet5", "prelu_net"),
        *_of("convolutional", "film", "volumes"),
        *_of("attentive", "colour", "swish_net", "gated_attention"),
        *_of("attentive", "colour", "convnext", "transformer", "mixer", epochs=10),
        *_of("attentive", "small", "residual_mlp"),
        *_of("perceptrons", "small", "mlp_plain", "mlp_batchnorm", "mlp_tanh", "highway"),
        *_of("perceptrons", "small", "mlp_smooth", epochs=20),
        *_of("perceptrons", "grey", "tied"),
        *_of("perceptrons", "small", "autoencoder", outputs=256),
        *_of("sequences", "spectrogram", "ds_cnn"),
        *_of("sequences", "signal", "conv1d", "tcn"),
        *_of("sequences", "colour", "dilated"),
        *_of("sequences", "small", "gru", "lstm", epochs=8),
        *_of("sequences", "frames", "conv_lstm", epochs=8),
        *_of("pictures_out", "grey", "unet_upsampling", "unet_bilinear", "unet_transposed", outputs=2 * 28 * 28),
        *_of("pictures_out", "grey", "conv_autoencoder", outputs=28 * 28),
        *_of("pictures_out", "grey", "super_resolution", outputs=56 * 56),
    )
}
"""By name, in the order of the table."""
