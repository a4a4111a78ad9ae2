"""Train small networks in PyTorch, and export each with both exporters: `python torch_float.py FOLDER`.

Runs in an environment of its own. Into the folder go the ONNX files, `images.npy`, and `<network>.npy` with what
PyTorch makes of the images.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

TRACED, COMPILED = (11, 13, 17, 20), (18, 20, 23)
"""Opsets for the exporter that traces TorchScript, and for the one that compiles. The latter makes 18 or later."""
N, CLASSES = 64, 5


class Residual(nn.Module):
    """Batch normalization, depthwise convolution, ReLU6 and an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        depthwise = [nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
        self.deep = nn.Sequential(*depthwise, nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.start(images)
        values = torch.relu(values + self.deep(values))
        return self.head(torch.flatten(self.pool(values), 1))


class Chains(nn.Module):
    """Shapes that are computed, dropout, and probabilities at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.dense, self.drop, self.head = nn.Linear(96, 16), nn.Dropout(0.5), nn.Linear(16, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = functional.hardswish(self.norm(self.conv(images)))
        values = values.reshape(values.shape[0], values.shape[1] * values.shape[2], -1)
        values = torch.relu(self.dense(values.view(values.size(0), -1)))
        return torch.softmax(self.head(self.drop(values)), 1)


class Mixed(nn.Module):
    """Two branches, other activations, layer normalization and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 5, padding=2)
        self.both, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.LayerNorm(8)
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = torch.cat([functional.silu(self.left(images)), torch.sigmoid(self.right(images))], 1)
        values = functional.gelu(self.both(functional.max_pool2d(values, 2)))
        values = self.norm(values.flatten(2).transpose(1, 2))
        return self.head((values + self.attention(values, values, values)[0]).mean(1))


class Dense(nn.Sequential):
    """Weights large enough to be kept beside a file."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(192, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, CLASSES)
        )


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, 8, 8) and their classes, the same ones each time."""
    images = torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return images, (images.mean((1, 2, 3)) * 20 + 2).long().clamp(0, CLASSES - 1)


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int = 30) -> None:
    """Train in place."""
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()


def export(network: nn.Module, images: torch.Tensor, path: Path, opset: int, **options: object) -> None:
    """Export; `options` are those of `torch.onnx.export`.

    Args:
        network: in evaluation mode.
        images: an example.
        path: the file to write.
        opset: of the file.
        options: which exporter, and for which batch.
    """
    torch.onnx.export(
        network, (images,), path, opset_version=opset, input_names=["photo"], output_names=["scores"], **options
    )


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    np.save(folder / "images.npy", examples()[0].numpy())
    for kind in (Residual, Chains, Mixed, Dense):
        torch.manual_seed(0)
        network, (images, labels) = kind(), examples()
        train(network.train(), images, labels)
        network.eval()
        name = kind.__name__.lower()
        np.save(folder / f"{name}.npy", network(images).detach().numpy())
        for opset in TRACED:
            if kind is Mixed and opset < 14:
                continue  # PyTorch has no attention for these opsets
            traced: dict[str, Any] = {"dynamo": False}
            export(network, images[:1], folder / f"{name}-traced-1-{opset}.onnx", opset, **traced)
            traced |= {"dynamic_axes": {"photo": {0: "N"}}}
            export(network, images[:1], folder / f"{name}-traced-N-{opset}.onnx", opset, **traced)
        for opset in COMPILED:
            compiled: dict[str, Any] = {"dynamo": True, "verbose": False, "external_data": opset == COMPILED[0]}
            export(network, images[:1], folder / f"{name}-compiled-1-{opset}.onnx", opset, **compiled)
            compiled |= {"dynamic_shapes": ({0: torch.export.Dim("N")},)}
            export(network, images[:2], folder / f"{name}-compiled-N-{opset}.onnx", opset, **compiled)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
