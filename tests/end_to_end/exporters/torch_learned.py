"""Train networks with quantization in PyTorch and in Brevitas, and export them: `python torch_learned.py FOLDER`.

Runs in an environment of its own. Into the folder go the ONNX files, `images.npy`, and `<network>.npy` with what the
network makes of the images, with its fake quantization.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.export import export_onnx_qcdq
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)
from torch import nn
from torch.ao import quantization
from torch.ao.quantization.quantize_fx import prepare_qat_fx
from torch_float import CLASSES, Residual, examples, export, train
from torchao.quantization import pt2e
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

FREE = {"photo": {0: "N"}}
PER_CHANNEL = (Int8WeightPerChannelFloat, Int8ActPerTensorFloat, Uint8ActPerTensorFloat)
POWERS_OF_TWO = (Int8WeightPerTensorFixedPoint, Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint)


class Learned(nn.Module):
    """Two convolutions and a dense layer with the quantizers of Brevitas."""

    def __init__(self, weights: Any, signed: Any, unsigned: Any, bits: int = 8) -> None:
        super().__init__()
        layer = {"weight_quant": weights, "weight_bit_width": bits, "bias_quant": Int32Bias}
        relu = {"act_quant": unsigned, "bit_width": bits, "return_quant_tensor": True}
        self.start = qnn.QuantIdentity(act_quant=signed, return_quant_tensor=True)
        self.first = qnn.QuantConv2d(3, 8, 3, padding=1, return_quant_tensor=True, **layer)
        self.second = qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, return_quant_tensor=True, **layer)
        self.relus, self.pool = nn.ModuleList([qnn.QuantReLU(**relu), qnn.QuantReLU(**relu)]), nn.MaxPool2d(2)
        self.head = qnn.QuantLinear(128, CLASSES, bias=True, **layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.relus[0](self.first(self.start(images)))
        values = self.pool(self.relus[1](self.second(values)))
        return self.head(values.flatten(1))


def with_brevitas(folder: Path) -> None:
    for name, kind in (("channels", PER_CHANNEL), ("powers", POWERS_OF_TWO), ("four", (*PER_CHANNEL, 4))):
        torch.manual_seed(0)
        network, (images, labels) = Learned(*kind), examples()
        train(network.train(), images, labels)
        network.eval()
        with torch.no_grad():
            np.save(folder / f"{name}.npy", network(images).numpy())
        named = {"input_names": ["photo"], "output_names": ["scores"], "dynamic_axes": FREE, "dynamo": False}
        export_onnx_qcdq(network, images[:1], export_path=str(folder / f"{name}.onnx"), opset_version=17, **named)


def with_fake_quantize(folder: Path) -> None:
    """Fake quantization with the ranges of two platforms, and batch normalization that is not folded."""
    for platform in ("qnnpack", "x86"):
        torch.manual_seed(0)
        images, labels = examples()
        asked = quantization.QConfigMapping().set_global(quantization.get_default_qat_qconfig(platform, version=0))
        network = prepare_qat_fx(Residual().train(), asked, (images,))
        train(network, images, labels)
        network.eval().apply(quantization.disable_observer)
        np.save(folder / f"{platform}.npy", network(images).detach().numpy())
        export(network, images[:1], folder / f"{platform}.onnx", 17, dynamo=False, dynamic_axes=FREE)


def with_export(folder: Path) -> None:
    """Fake quantization of the exported program, with integers in the file."""
    torch.manual_seed(0)
    images, labels = examples()
    free = ({0: torch.export.Dim("N")},)
    program = torch.export.export(Residual().train(), (images[:2],), dynamic_shapes=free).module()
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(is_qat=True))
    network = prepare_qat_pt2e(program, quantizer)
    train(network, images, labels)
    pt2e.move_exported_model_to_eval(network)
    network = convert_pt2e(network)
    np.save(folder / "pt2e.npy", network(images).detach().numpy())
    export(network, images[:2], folder / "pt2e.onnx", 21, dynamo=True, verbose=False, dynamic_shapes=free)


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    np.save(folder / "images.npy", examples()[0].numpy())
    for make in (with_brevitas, with_fake_quantize, with_export):
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
