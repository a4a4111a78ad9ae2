"""Probes: any value of a graph, whether its weights are handed over apart or not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.onnx_graph import external_tensors

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
IMAGES = np.ones((2, 4), np.float32)


def model() -> onnx.ModelProto:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(WEIGHTS, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("large", [1, 2**16])
def test_any_value_can_be_asked_for(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_tensors, "LARGE", large)
    hidden = IMAGES @ WEIGHTS
    session = open_probe(model(), ["y", "h"])
    results = session.run(["h", "y"], {"x": IMAGES})
    np.testing.assert_allclose(results[0], hidden, rtol=1e-5)
    np.testing.assert_allclose(results[1], hidden.clip(0), rtol=1e-5)
    (logits,) = open_probe(model()).run(None, {"x": IMAGES})
    np.testing.assert_allclose(logits, hidden.clip(0), rtol=1e-5)
