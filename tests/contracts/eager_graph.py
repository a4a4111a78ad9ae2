"""An ONNX graph under construction that computes each node at once: shapes and statistics are there when needed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OPSET = 17


class Graph:
    """From `images` to `logits`; `values` holds what the sample images become at each place."""

    def __init__(self, sample: np.ndarray, rng: np.random.Generator) -> None:
        self.rng = rng
        self.values: dict[str, np.ndarray] = {"images": sample}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.kept: dict[tuple[Any, ...], tuple[str, str]] = {}
        """Weights and bias by layer kind and shape, for layers that share them."""

    def constant(self, array: Any, dtype: type = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.split(operator, 1, *inputs, **attributes)[0]

    def split(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Append a node with that many outputs; returns their names."""
        names = [f"{operator.lower()}{len(self.nodes)}_{place}" for place in range(outputs)]
        node = helper.make_node(operator, inputs, names, **attributes)
        self.values |= dict(zip(names, compute(node, self.constants | self.values), strict=True))
        self.nodes.append(node)
        return names

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one image's value, without the batch."""
        return self.values[name].shape[1:]

    def model(self) -> onnx.ModelProto:
        """The graph with its last value as `logits`."""
        self.nodes.append(helper.make_node("Identity", [self.nodes[-1].output[0]], ["logits"]))
        ends = {"images": "images", "logits": self.nodes[-1].input[0]}
        source, target = (
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *self.shape(value)])
            for name, value in ends.items()
        )
        parameters = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "network", [source], [target], parameters)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def along_channels(graph: Graph, value: str, array: np.ndarray) -> str:
    """(C,) as a constant that is broadcast over axis 1 of `value`."""
    return graph.constant(array.reshape(-1, *[1] * (graph.values[value].ndim - 2)))


def compute(node: onnx.NodeProto, values: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of one node, by onnxruntime without any optimization."""
    feeds = {name: values[name] for name in node.input if name}
    sources = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    graph = helper.make_graph([node], "node", sources, [onnx.ValueInfoProto(name=name) for name in node.output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)
