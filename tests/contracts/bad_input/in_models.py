"""Bad models: what the stage `bring` meets in ONNX files, and in Keras files before Keras builds anything."""

# mypy: disable-error-code="func-returns-value"
# a lambda does several things in turn, as the parts of a tuple
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from onnx import TensorProto

from octavo.brought import fitness
from octavo.onnx_graph.foreign import bringing
from octavo.project import paths
from octavo.training.keras_files import containers, trial
from tests.contracts.bad_input.kind import Kind
from tests.octavo.onnx_graph.foreign.made import classifier, dense, drawn, examples, model, node

TARGET = paths.exported("theirs") / "model.onnx"
DENSE = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "out"}}
ENDS = {"input_layers": ["in", 0, 0], "output_layers": ["out", 0, 0]}


def bytes_of(name: str, content: bytes, told: str) -> Kind:
    def meet() -> None:
        Path("net.onnx").write_bytes(content)
        bringing.bring(Path("net.onnx"), TARGET, examples())

    return Kind("models", f"onnx: {name}", meet, told)


def network(name: str, made: onnx.ModelProto, told: str) -> Kind:
    return bytes_of(name, made.SerializeToString(), told)


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    made = classifier()
    change(made)
    return made


def another_end(kind: str, name: str = "more") -> Callable[[onnx.ModelProto], object]:
    value = onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 5])
    return lambda made: getattr(made.graph, kind).append(value)


def elsewhere(location: str) -> Callable[[], object]:
    def meet() -> None:
        onnx.save(classifier(), "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
        made = onnx.load("net.onnx", load_external_data=False)
        for tensor in made.graph.initializer:
            for entry in tensor.external_data:
                entry.value = location if entry.key == "location" else entry.value
        Path("net.onnx").write_bytes(made.SerializeToString())
        bringing.bring(Path("net.onnx"), TARGET, examples())

    return meet


def of_keras(name: str, told: str, content: Callable[[Path], object], suffix: str = ".keras") -> Kind:
    def meet() -> None:
        path = Path(f"net{suffix}")
        content(path)
        trial.keras(path)

    return Kind("models", f"{suffix[1:]}: {name}", meet, told)


def weights() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["a"] = np.zeros(3)
    return content.getvalue()


def archive(layer: dict[str, Any] = DENSE, /, **changes: Any) -> Callable[[Path], object]:
    """A `.keras` file. A file of it is left out if it is None; `ends` are its inputs and outputs."""
    config = {"layers": [layer], **ENDS, **changes.pop("ends", {})}
    whole = {"class_name": "Functional", "module": "keras.src.models.functional", "config": config}
    parts: dict[str, Any] = {
        "config.json": json.dumps(whole),
        "metadata.json": json.dumps({"keras_version": "3.10.0"}),
        "model.weights.h5": weights(),
    } | {name.replace("__", "."): content for name, content in changes.items()}

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as file:
            for name, content in parts.items():
                if content is not None:
                    file.writestr(name, content)

    return write


def hdf5(change: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            change(file)

    return write


def configured(text: str) -> Callable[[h5py.File], object]:
    return lambda file: (
        file.attrs.__setitem__("model_config", text),
        file.attrs.__setitem__("keras_version", "2.15.0"),
    )


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "module": module, "config": config}


def _in_onnx() -> Iterator[Kind]:
    whole = classifier().SerializeToString()
    half = TensorProto.FLOAT16
    yield Kind("models", "onnx: missing", lambda: bringing.bring(Path("gone.onnx"), TARGET, examples()), "No such file")
    yield bytes_of("empty", b"", "net.onnx is damaged")
    yield bytes_of("text", b"hello, I am no network", "net.onnx")
    yield bytes_of("cut", whole[: len(whole) // 2], "net.onnx")
    yield bytes_of("a page of a web server", b"<!DOCTYPE html><html><body>404</body></html>", "net.onnx")
    yield network("opset 10", classifier(opset=10), "has opset 10; 11 to 23 are read. Export it again, with opset 17")
    yield network("opset 24", classifier(opset=24), "has opset 24; 11 to 23 are read")
    yield network(
        "two inputs", changed(another_end("input")), "has 2 inputs (input, more), and networks with one are accepted"
    )
    yield network(
        "two outputs", changed(another_end("output", "l")), "has 2 outputs (output, l), and networks with one are"
    )
    yield network(
        "an integer input",
        changed(lambda made: setattr(made.graph.input[0].type.tensor_type, "elem_type", 7)),
        "is int64, and float32 is needed. Export the float network",
    )
    yield network(
        "half floats",
        dense(node("Cast", ["input"], ["h"], to=half), node("Cast", ["h"], ["x"], to=1)),
        "has values in float16. Give the float32 file that it was made from",
    )
    yield network(
        "no shape",
        changed(lambda made: made.graph.input[0].type.tensor_type.ClearField("shape")),
        "has no declared shape",
    )
    yield network(
        "another domain",
        changed(lambda made: made.graph.node.append(node("Gelu", ["l"], ["g"], domain="my.own"))),
        "an operator of another domain than ONNX's own, my.own.Gelu",
    )
    yield network(
        "an operator that is none",
        dense(node("Rleu", ["input"], ["x"])),
        "an operator that ONNX does not have, Rleu. Did you mean 'Relu'? Export",
    )
    yield network(
        "random", dense(node("RandomNormalLike", ["input"], ["x"])), "other values each time, RandomNormalLike"
    )
    yield network(
        "quantized",
        dense(
            node("DynamicQuantizeLinear", ["input"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["x"])
        ),
        "already quantized, DynamicQuantizeLinear. Bring the float",
    )
    yield network("nothing computed", model([], {}, ends=("input", "input")), "computes nothing. Export the network")
    yield network(
        "NaN",
        dense(node("Mul", ["input", "w"], ["x"]), w=np.full((3, 8, 8), np.nan, np.float32)),
        "are NaN. Train or export it again",
    )
    yield network(
        "infinite",
        dense(node("Mul", ["input", "w"], ["x"]), w=np.full((3, 8, 8), np.inf, np.float32)),
        "NaN or infinite for 40 of 40",
    )
    yield network("a weight that is gone", changed(lambda made: made.graph.initializer.pop()), "net.onnx")
    yield network(
        "a shape that does not fit",
        dense(node("MatMul", ["input", "w"], ["x"]), w=drawn(9, 9)),
        "net.onnx is not valid ONNX: [ShapeInferenceError] Inference error(s): (op_type:MatMul",
    )
    for location in ("../weights.bin", "/etc/hostname", "absent.bin"):
        yield Kind("models", f"onnx: weights in {location}", elsewhere(location), "takes weights from")
    yield Kind(
        "models",
        "onnx: other classes",
        lambda: _raise(fitness.other_outputs("'theirs'", (10,), 3)),
        "Bring a network with one output for each class",
    )


def _in_keras() -> Iterator[Kind]:
    yield of_keras("empty", "is not a Keras file, or damaged", lambda path: path.write_bytes(b""))
    yield of_keras("HDF5 in its place", "is not a Keras file, or damaged", lambda path: path.write_bytes(weights()))
    yield of_keras("no configuration", "it has no config.json. Save the network again", archive(config__json=None))
    yield of_keras("no weights", "it has no model.weights.h5", archive(model__weights__h5=None))
    yield of_keras("weights that are none", "is not a Keras file, or damaged", archive(model__weights__h5=b"no"))
    yield of_keras("another file in it", "has a file run.py, and a network needs only", archive(run__py="import os"))
    yield of_keras("no JSON", "The configuration in net.keras is not JSON", archive(config__json="{"))
    yield of_keras("a list", "is not that of a network. Save the whole network", archive(config__json="[]"))
    yield of_keras("deep JSON", "is not JSON", archive(config__json="[" * 100_000))
    yield of_keras("no version", "does not say which Keras saved it", archive(metadata__json="{}"))
    yield of_keras("a Lambda", "a Lambda layer, which holds the bytes of a Python function", archive(layer("Lambda")))
    yield of_keras(
        "a class of the user's",
        "Mine of the module mine, and only Keras' own layers are built",
        archive(layer("Mine", "mine")),
    )
    yield of_keras("a function of Python", "os", archive(layer("system", "os")))
    yield of_keras(
        "two inputs",
        "has 2 inputs (a, b), and networks with one are accepted",
        archive(ends={"input_layers": [["a", 0, 0], ["b", 0, 0]]}),
    )
    yield of_keras(
        "two outputs", "has 2 outputs (a, b)", archive(ends={"output_layers": {"a": ["a", 0, 0], "b": ["b", 0, 0]}})
    )
    yield of_keras("no HDF5", "is not a Keras file, or damaged", lambda path: path.write_bytes(b"hello"), ".h5")
    yield of_keras(
        "weights alone", "give the function that builds it", hdf5(lambda file: file.create_group("a")), ".h5"
    )
    yield of_keras(
        "values in another file",
        "by a link, which is never followed",
        hdf5(lambda file: file.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/a"))),
        ".h5",
    )
    yield of_keras("a configuration that is none", "is not JSON", hdf5(configured("{")), ".h5")
    yield Kind(
        "models",
        "h5: weights that are none",
        lambda: (Path("w.h5").write_bytes(b"no"), containers.look_into_weights(Path("w.h5"))),
        "is not a file of weights, or damaged",
    )


def _raise(error: Exception) -> None:
    raise error


KINDS = (*_in_onnx(), *_in_keras())
