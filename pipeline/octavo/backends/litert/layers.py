"""What each layer of a LiteRT file gives: its tensors bear the names of the Keras layers that they come from."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert import model as litert_model
from octavo.backends.litert import trial
from octavo.project.files import damage


@damage.told
def values(path: Path, fed: np.ndarray, layers: Collection[str], last: str | None) -> dict[str, np.ndarray]:
    """Layer -> its output, float32 (N, ...) with the channels last.

    Args:
        path: a LiteRT file.
        fed: images as the file takes them; every tensor of all of them is held at once.
        layers: names to look for.
        last: the layer that gives the file's output, whose tensor has another name.
    """
    trial.check(path)
    interpreter = Interpreter(
        model_path=str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    (source,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(source["index"], fed.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], fed)
    interpreter.invoke()
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    found = {}
    for index, layer in _places(path, layers, last).items():
        scale, zero = details[index]["quantization"]
        raw = interpreter.get_tensor(index).astype(np.float32)
        found[layer] = (raw - zero) * np.float32(scale) if scale else raw
    return found


def _places(path: Path, layers: Collection[str], last: str | None) -> dict[int, str]:
    """Tensor -> layer, in the order they run; of several operators that were fused, the last one's layer."""
    model = litert_model.load(path)
    graph = model.subgraphs[0]
    found = {}
    for output in (int(output) for operator in graph.operators for output in operator.outputs):
        fused = graph.tensors[output].name.decode().split(";")[0]
        named = [part for part in fused.split("/") if part in layers]
        if output in graph.outputs and last is not None:
            found[output] = last
        elif named:
            found[output] = named[-1]
    return found
