"""Foreign networks that are refused: in a sentence that names what is not accepted, and the next step."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph.foreign import bringing
from octavo.project.errors import ModelError
from tests.octavo.onnx_graph.foreign.made import classifier, dense, drawn, examples, model, node

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
DYNAMIC = (node("DynamicQuantizeLinear", ["input"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["x"]))


def changed(change: Callable[[onnx.ModelProto], object], **options: int) -> onnx.ModelProto:
    made = classifier(**options)  # type: ignore[arg-type]
    change(made)
    return made


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, ["N", 5])


def filled(name: str, with_: float) -> Callable[[onnx.ModelProto], None]:
    def change(made: onnx.ModelProto) -> None:
        (tensor,) = [each for each in made.graph.initializer if each.name == name]
        values = numpy_helper.to_array(tensor).copy()
        values.ravel()[0] = with_
        tensor.CopyFrom(numpy_helper.from_array(values, name))

    return change


def input_type(made: onnx.ModelProto) -> onnx.TypeProto.Tensor:
    return made.graph.input[0].type.tensor_type


def branch() -> onnx.GraphProto:
    return helper.make_graph(
        [node("Relu", ["input"], ["b"])], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )


def fixed(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    return model(nodes, constants, batch=2)


TRAINING = "in training mode, {}. Export the network in evaluation mode (model.eval())."
CASES: dict[str, tuple[onnx.ModelProto, str]] = {
    "opset 10": (classifier(opset=10), "has opset 10; 11 to 23 are read. Export it again, with opset 17."),
    "opset 24": (classifier(opset=24), "has opset 24; 11 to 23 are read."),
    "no opset": (changed(lambda made: made.ClearField("opset_import")), "has opset none;"),
    "two inputs": (changed(lambda made: made.graph.input.append(value("mask"))), "has 2 inputs (input, mask), and"),
    "two outputs": (changed(lambda made: made.graph.output.append(value("l"))), "has 2 outputs (output, l), and"),
    "float16 input": (changed(lambda made: setattr(input_type(made), "elem_type", HALF)), "given.onnx is float16"),
    "uint8 input": (changed(lambda made: setattr(input_type(made), "elem_type", 2)), "is uint8, and float32 is"),
    "no shape": (changed(lambda made: input_type(made).ClearField("shape")), "has no declared shape, and"),
    "float16 inside": (
        dense(node("Cast", ["input"], ["h"], to=HALF), node("Cast", ["h"], ["x"], to=FLOAT)),
        "has values in float16. Give the float32 file that it was made from, or export the network in float32.",
    ),
    "float64 weights": (
        model([node("Flatten", ["input"], ["f"]), node("Cast", ["f"], ["d"], to=TensorProto.DOUBLE),
               node("MatMul", ["d", "w"], ["m"]), node("Cast", ["m"], ["output"], to=FLOAT)],
              {"w": drawn(192, 5).astype(np.float64)}),
        "has MatMul with weights in double. Export the network in float32.",
    ),
    "NaN": (changed(filled("classifier.weight", np.nan)), "1 of 480 values of classifier.weight in given.onnx are"),
    "infinite": (changed(filled("classifier.bias", np.inf)), "outputs that are NaN or infinite for 40 of 40 examples."),
    "another domain": (
        changed(lambda made: made.graph.node.append(node("Gelu", ["l"], ["g"], domain="com.microsoft"))),
        "an operator of another domain than ONNX's own, com.microsoft.Gelu. Export the network with",
    ),
    "quantized": (
        dense(*DYNAMIC),
        "network that is already quantized, DynamicQuantizeLinear. Bring the float network.",
    ),
    "random": (dense(node("RandomNormalLike", ["input"], ["x"])), "other values each time, RandomNormalLike."),
    "control flow": (
        dense(node("If", ["yes"], ["x"], then_branch=branch(), else_branch=branch()), yes=np.array(True)),
        "has control flow, If. Export the network without it, by tracing.",
    ),
    "sequences": (
        dense(node("SequenceConstruct", ["input"], ["s"]), node("SequenceAt", ["s", "at"], ["x"]), at=np.array(0)),
        "on sequences, optional values or strings, SequenceConstruct.",
    ),
    "Dropout in training": (
        dense(node("Dropout", ["input", "ratio", "on"], ["x"]), ratio=np.array(0.5, np.float32), on=np.array(True)),
        TRAINING.format("Dropout"),
    ),
    "normalization in training": (
        changed(lambda made: (made.graph.node[1].attribute.append(helper.make_attribute("training_mode", 1)),
                              made.graph.node[1].output.extend(["rm", "rv"]))),
        TRAINING.format("BatchNormalization"),
    ),
    "normalization in training, old": (
        changed(lambda made: made.graph.node[1].output.extend(["m", "v", "sm", "sv"]), opset=11),
        TRAINING.format("BatchNormalization"),
    ),
    "nothing computed": (
        model([], {}, ends=("input", "input")), "gives its input input back and computes nothing."),
    "no batch in the output": (
        dense(node("Relu", ["input"], ["x"]), node("ReduceMean", ["scores"], ["output"], axes=[0]), result="scores"),
        "no earlier operator produces",
    ),
    "mixed batch": (
        fixed(node("ReduceMean", ["input"], ["m"], axes=[0]), node("Sub", ["input", "m"], ["output"])),
        "is written for batches of 2, and does not work with others. Export it with a free batch.",
    ),
    "constant of the batch": (
        fixed(node("Concat", ["token", "input"], ["output"], axis=1), token=drawn(2, 1, 8, 8)),
        "is written for batches of 2, and does not work with others.",
    ),
    "sparse": (changed(lambda made: made.graph.sparse_initializer.add()), "has sparse weights"),
    "future": (changed(lambda made: setattr(made, "ir_version", 99)), "is not valid ONNX: Your model ir_version 99"),
    "twice": (
        changed(lambda made: made.graph.node.append(node("Relu", ["c"], ["r"]))), "is not valid ONNX: "),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_is_named_and_nothing_is_written(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made, said = CASES[case]
    Path("given.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=re.escape(said)):
        bringing.bring(Path("given.onnx"), Path("made/model.onnx"), examples())
    assert not Path("made").exists() or not list(Path("made").iterdir())


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "absent.bin"])
def test_weights_elsewhere(location: str, tmp_path: Path) -> None:
    given = tmp_path / "folder/given.onnx"
    given.parent.mkdir()
    onnx.save(classifier(), given, save_as_external_data=True, location="weights.bin", size_threshold=100)
    (given.parent / "weights.bin").rename(tmp_path / "weights.bin")
    made = onnx.load(given, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    given.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="takes weights from"):
        bringing.bring(given, tmp_path / "made/model.onnx", examples())


def test_float16_between_casts_is_no_damage(tmp_path: Path) -> None:
    """Converters that keep the type of input and output add their casts at the end, which is a wrong order."""
    made = classifier()
    for tensor in made.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for operator in made.graph.node:
        operator.input[:] = ["small" if name == "input" else name for name in operator.input]
    made.graph.node.append(helper.make_node("Cast", ["input"], ["small"], to=TensorProto.FLOAT16))
    (tmp_path / "given.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"has values in float16\. Give the float32 file"):
        bringing.bring(tmp_path / "given.onnx", tmp_path / "made/model.onnx", examples())


def test_shapes_in_another_file(tmp_path: Path) -> None:
    """Such a file is one that onnxruntime does not load. The message says what to do, and that works."""
    graph = dense(node("Reshape", ["input", "target"], ["x"]), target=np.array([-1, 192], np.int64))
    given, new = tmp_path / "given.onnx", tmp_path / "new.onnx"
    onnx.save(graph, given, save_as_external_data=True, location="given.data", size_threshold=0)
    with pytest.raises(ModelError, match=r"even its shapes are in given\.data.*onnx\.save\(onnx\.load") as told:
        bringing.bring(given, tmp_path / "made/model.onnx", examples())
    assert "ONNXRuntimeError" not in str(told.value)
    onnx.save(onnx.load(given), new)
    bringing.bring(new, tmp_path / "made/model.onnx", examples())


def test_files_that_are_damaged(tmp_path: Path) -> None:
    whole = classifier().SerializeToString()
    for content in (b"", b"no model", whole[: len(whole) // 2], whole[:-1], whole[:100] + b"\xff" * 50 + whole[150:]):
        (tmp_path / "given.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"given\.onnx.*[Ee]xport it again"):
            bringing.bring(tmp_path / "given.onnx", tmp_path / "made/model.onnx", examples())
    with pytest.raises(ModelError, match="No such file"):
        bringing.bring(tmp_path / "absent.onnx", tmp_path / "made/model.onnx", examples())
