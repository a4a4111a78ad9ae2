"""Mean inputs of the layers of a LiteRT file, over images."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert.content.tensors import metadata_of, write
from octavo.backends.predictor import Quantization
from octavo.data.input_encoding import declared, encode
from octavo.project.params.encoding import InputEncoding

INPUT, BATCH = 0, 8


def mean_inputs(model: schema.ModelT, operators: Sequence[schema.OperatorT], images: np.ndarray) -> list[np.ndarray]:
    """Mean input of each operator over the images, float64 (1, ...). Operators after the last of them do not run.

    LiteRT's default delegate (XNNPACK) cannot run every truncated network. If it fails, the network runs without it.

    Args:
        model: the file. It is not changed.
        operators: of the file's main graph.
        images: (N, H, W[, C]), as a split stores them.

    Returns:
        The means, in the order of `operators`.
    """
    if not operators:
        return []
    graph, wanted = model.subgraphs[0], [int(operator.inputs[INPUT]) for operator in operators]
    kept = graph.operators, graph.outputs, model.signatureDefs
    graph.operators = graph.operators[: max(map(graph.operators.index, operators))]
    graph.outputs, model.signatureDefs = list(dict.fromkeys(wanted)), None
    content, encoding = write(model), declared(metadata_of(model))
    graph.operators, graph.outputs, model.signatureDefs = kept
    try:
        means = _means(Interpreter(model_content=content), images, encoding)
    except RuntimeError:
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        means = _means(Interpreter(model_content=content, experimental_op_resolver_type=plain), images, encoding)
    return [means[index] for index in wanted]


def _means(interpreter: Interpreter, images: np.ndarray, encoding: InputEncoding) -> dict[int, np.ndarray]:
    """Index of an output tensor -> its mean over the images, float64 (1, ...)."""
    totals: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(1))
    counts: Counter[int] = Counter()
    for start in range(0, len(images), BATCH):
        for index, output in _run(interpreter, encode(images[start : start + BATCH], encoding)):
            totals[index] = totals[index] + output.sum(0, dtype=np.float64)
            counts[index] += len(output)
    return {index: total[None] / counts[index] for index, total in totals.items()}


def _run(interpreter: Interpreter, fed: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Index and content of each output tensor for encoded images, as real numbers."""
    (source,) = interpreter.get_input_details()
    if tuple(source["shape"]) != fed.shape:
        interpreter.resize_tensor_input(source["index"], fed.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        source["index"], fed if source["dtype"] == np.float32 else _quantization(source).integers(fed)
    )
    interpreter.invoke()
    for target in interpreter.get_output_details():
        found = interpreter.get_tensor(target["index"])
        yield target["index"], found if found.dtype == np.float32 else _quantization(target).real(found)


def _quantization(details: Mapping[str, Any]) -> Quantization:
    scale, zero = details["quantization"]
    return Quantization(np.dtype(details["dtype"]), float(scale), int(zero))
