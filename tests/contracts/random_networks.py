"""Random float networks as users bring them: a plan that hypothesis draws and shrinks, and the folder built from it.

Weights are random, but with the statistics of trained ones: biases are not zero, channels differ in size, batch
normalization has the mean and variance of what it reads.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize
from tests.contracts import random_layers
from tests.contracts.eager_graph import Graph
from tests.contracts.random_activations import ACTIVATIONS
from tests.contracts.random_ends import ENDS
from tests.contracts.random_forms import FORMS
from tests.contracts.random_layers import LAYERS, Layer

IMAGES = ((8, 8), (8, 8, 3), (16,), (12, 4), (9, 7, 2), (4, 6, 6, 2))
"""Shapes of one image: grey, colour, a row of features, a signal with channels, an uneven image, a volume."""
KINDS = {**LAYERS, **FORMS}
MEASURED, CALIBRATED = 16, 96
"""Images that batch normalization's statistics are taken of, and images to calibrate with."""


@dataclass(frozen=True)
class Plan:
    """All that a network depends on; equal plans give equal bytes."""

    image: tuple[int, ...] = (8, 8)
    channels_first: bool = False
    """The images have their channels first, as PyTorch exports them."""
    stored_as_bytes: bool = False
    layers: tuple[Layer, ...] = ()
    end: str = "Gemm"
    classes: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Network:
    """A float network in the folder `exported`, and images for it; those of `test` are in no other array."""

    exported: Path
    samples: Samples
    test: np.ndarray


def layers(
    benign: bool = False, kinds: Collection[str] = LAYERS, activations: Collection[str] = ()
) -> st.SearchStrategy[Layer]:
    """Layers; benign ones have no channel that is dead, nearly dead or far louder than the others."""
    channels = ["alive"] if benign else ["alive", "alive", "dead", "near_dead", "loud"]
    return st.builds(
        Layer,
        kind=st.sampled_from(sorted(kinds)),
        width=st.sampled_from([8, 4, 6, 16]),
        kernel=st.sampled_from([3, 1, 2, 5]),
        stride=st.sampled_from([1, 1, 2]),
        dilation=st.sampled_from([1, 1, 2]),
        group=st.sampled_from(["one", "two", "depthwise"]),
        padding=st.sampled_from(["same", "valid", "uneven"]),
        bias=st.sampled_from(["drawn", "none", "half"]),
        normalized=st.sampled_from(["no", "no", "operator", "parts"]),
        activation=st.sampled_from(sorted(activations) or ["Relu", "none", *sorted(ACTIVATIONS)]),
        channel=st.sampled_from(channels),
        shared=st.booleans(),
        form=st.integers(0, 7),
    )


def plans(
    benign: bool = False,
    kinds: Collection[str] = LAYERS,
    activations: Collection[str] = (),
    ends: Collection[str] = ENDS,
) -> st.SearchStrategy[Plan]:
    """Plans of networks.

    Args:
        benign: whether no channel is dead, nearly dead or far louder than the others.
        kinds: of layers.
        activations: after layers; empty for all.
        ends: of networks.
    """
    return st.builds(
        Plan,
        image=st.sampled_from(IMAGES),
        channels_first=st.booleans(),
        stored_as_bytes=st.booleans(),
        layers=st.lists(layers(benign, kinds, activations), min_size=1, max_size=6).map(tuple),
        end=st.sampled_from(sorted(ends)),
        classes=st.sampled_from([10, 2, 1, 33]),
        seed=st.integers(0, 999),
    )


def build(plan: Plan, folder: Path) -> Network:
    """Write the plan's network as `model.onnx` into `folder`, as an export does."""
    rng = np.random.default_rng(plan.seed)
    shape = plan.image
    if plan.channels_first and len(shape) > 2:
        shape = (shape[-1], *shape[:-1])
    drawn = [images(rng, n, shape, plan.stored_as_bytes) for n in (CALIBRATED, CALIBRATED, CALIBRATED)]
    measured = drawn[0][:MEASURED]
    graph = Graph(measured.astype(np.float32) / 255 if plan.stored_as_bytes else measured, rng)
    value = random_layers.enter(graph, plan.image, plan.channels_first)
    for layer in plan.layers:
        value = KINDS[layer.kind](graph, value, layer)
    ENDS[plan.end](graph, value, plan.classes)
    canonicalize.save(graph.model(), folder / "model.onnx")
    labels = np.arange(CALIBRATED) % plan.classes
    return Network(folder, Samples(drawn[0], Split(drawn[1], labels)), drawn[2])


def images(rng: np.random.Generator, n: int, shape: tuple[int, ...], as_bytes: bool = False) -> np.ndarray:
    """Images in 0..1 (or 0..255) of the given shape: waves of random direction and brightness, and some noise."""
    places = np.stack(np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij"), -1)
    directions = rng.normal(0, 4, (n, len(shape)))
    waves = np.sin(np.einsum("...d,nd->n...", places, directions) + rng.uniform(0, 6, (n, *[1] * len(shape))))
    level = rng.uniform(0.2, 0.8, (n, *[1] * len(shape)))
    values = np.clip(level + 0.3 * waves + rng.normal(0, 0.08, (n, *shape)), 0, 1)
    return np.rint(values * 255).astype(np.uint8) if as_bytes else values.astype(np.float32)
