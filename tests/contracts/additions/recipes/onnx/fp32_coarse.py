"""Weights rounded to a grid."""

from pathlib import Path

import numpy as np
from onnx import numpy_helper
from pydantic import PositiveInt

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.project.params.section import Model


class Options(Model):
    steps: PositiveInt = 64
    """To one."""


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    model = canonicalize.load(exported / "model.onnx")
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            rounded = np.rint(array * options.steps) / np.float32(options.steps)
            tensor.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), tensor.name))
    canonicalize.save(model, target)
