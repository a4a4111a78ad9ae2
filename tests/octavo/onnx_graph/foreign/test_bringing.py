"""Foreign networks that are accepted compute the same, bit for bit, and are called as before."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.foreign import bringing, comparison, reading
from octavo.project.errors import ModelError
from octavo.quantization import recipes
from tests.octavo.onnx_graph.foreign.made import CLASSES, classifier, dense, drawn, examples, model, node


def brought(made: onnx.ModelProto, folder: Path, given: np.ndarray | None = None) -> tuple[Path, comparison.Agreement]:
    onnx.save(made, folder / "given.onnx")
    target = folder / "made/model.onnx"
    return target, bringing.bring(folder / "given.onnx", target, examples() if given is None else given)


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", ["N", 1, 8])
@pytest.mark.parametrize("opset", range(11, 24))
def test_every_opset_and_batch(opset: int, batch: int | str, tmp_path: Path) -> None:
    made = classifier(batch, opset)
    path, agreement = brought(made, tmp_path)
    assert agreement.exact
    for size in (1, 5):
        (found,) = session(path).run(None, {"input": examples(size)})
        assert found.shape == (size, CLASSES)
    kinds = {each.op_type for each in onnx.load(path).graph.node}
    assert kinds.isdisjoint({"Identity", "Dropout", "Constant"})


@pytest.mark.parametrize("ends", [("input:0", "out/put"), ("a", "b"), ("N", "first"), ("Identity:0", "x.y[0]")])
def test_names_stay_in_every_variant(ends: tuple[str, str], tmp_path: Path) -> None:
    made = classifier(ends=ends, listed=True, opset=12)
    if ends[1] == "first":
        made.graph.node[5].output[0] = made.graph.node[8].input[1] = "other"
    path, _ = brought(made, tmp_path)
    images = examples(20)
    samples = Samples(images, Split(images, np.zeros(20, np.int64)))
    for recipe in ("onnx_fp32", "onnx_fp16", "onnx_int8_dynamic", "onnx_int8_static", "onnx_int8_weight_only"):
        target = tmp_path / recipe / "model.onnx"
        recipes.quantize(recipe, path.parent, target, samples, {})
        (found,) = session(target).run([ends[1]], {ends[0]: images[:3]})
        assert found.shape == (3, CLASSES)


def test_layers_keep_the_names_that_the_file_gives_them(tmp_path: Path) -> None:
    path, _ = brought(classifier(), tmp_path)
    assert {"/features/0/Conv", "/classifier/Gemm", "probabilities"} <= set(canonicalize.layers(path).values())


def test_axes_that_older_opsets_wrote_as_attributes(tmp_path: Path) -> None:
    nodes = [
        node("Unsqueeze", ["input"], ["u"], axes=[1]),
        node("Squeeze", ["u"], ["q"], axes=[1]),
        node("Pad", ["q", "pads"], ["p"]),
        node("Clip", ["p", "low", "high"], ["c"]),
        node("ReduceSum", ["c"], ["r"], axes=[3], keepdims=0),
        node("Softmax", ["r"], ["s"], axis=1),  # on both axes together, before opset 13
        node("Split", ["s"], ["s1", "s2"], axis=1, split=[1, 2]),
        node("Flatten", ["s2"], ["output"]),
    ]
    constants = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "low": np.array(-1, np.float32)}
    constants["high"] = np.array(1, np.float32)
    _, agreement = brought(model(nodes, constants, opset=11), tmp_path)
    assert agreement.exact


def test_channels_last_and_a_convolution_as_head(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", ["input"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "weight"], ["c"]),
        node("GlobalAveragePool", ["c"], ["g"]),
        node("Transpose", ["g"], ["output"], perm=[0, 2, 3, 1]),
    ]
    made = model(nodes, {"weight": drawn(CLASSES, 3, 3, 3)}, image=(8, 8, 3))
    path, agreement = brought(made, tmp_path, examples(image=(8, 8, 3)))
    assert agreement.exact
    assert session(path).run(None, {"input": examples(2, (8, 8, 3))})[0].shape == (2, 1, 1, CLASSES)


def test_a_deep_chain(tmp_path: Path) -> None:
    nodes = []
    for place in range(300):
        source = f"r{place - 1}" if place else "input"
        nodes += [node("Conv", [source, "weight"], [f"c{place}"], pads=[1] * 4, group=3)]
        nodes += [node("Relu", [f"c{place}"], [f"r{place}"])]
    nodes.append(node("GlobalMaxPool", ["r299"], ["output"]))
    _, agreement = brought(model(nodes, {"weight": np.full((3, 1, 3, 3), 0.12, np.float32)}, batch=1), tmp_path)
    assert agreement.exact


def test_external_data_beside_the_file(tmp_path: Path) -> None:
    given = tmp_path / "given.onnx"
    made = dense(node("Relu", ["input"], ["x"]), weight=np.tile(drawn(192, CLASSES), (1, 40)))
    onnx.save(made, given, save_as_external_data=True, location="given.onnx.data")
    assert (tmp_path / "given.onnx.data").is_file()
    assert bringing.bring(given, tmp_path / "made/model.onnx", examples()).exact


def test_functions_and_the_long_name_of_the_domain(tmp_path: Path) -> None:
    opset = helper.make_opsetid("", 17)
    twice = helper.make_function("pkg", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [opset])
    made = dense(node("Twice", ["input"], ["x"], domain="pkg"))
    made.functions.append(twice)
    made.opset_import.append(helper.make_opsetid("pkg", 1))
    assert brought(made, tmp_path)[1].exact
    made = dense(node("Relu", ["input"], ["x"], domain="ai.onnx"))
    made.opset_import[0].domain = "ai.onnx"
    assert brought(made, tmp_path)[1].exact


def test_what_it_ends_in(tmp_path: Path) -> None:
    for made, found in ((classifier(), "Softmax"), (dense(node("Relu", ["input"], ["x"])), None)):
        onnx.save(made, tmp_path / "given.onnx")
        foreign = reading.read(tmp_path / "given.onnx")
        assert reading.ending(foreign.model) == found
        assert (foreign.shape, foreign.batch, foreign.opset) == ((3, 8, 8), None, 17)


def test_nothing_is_written_if_a_check_fails(tmp_path: Path) -> None:
    made = dense(node("Sub", ["input", "m"], ["x"]))
    made.graph.node.insert(0, node("ReduceMean", ["input"], ["m"], axes=[0]))
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match="does not treat each example by itself"):
        brought(made, tmp_path)
    assert list((tmp_path / "made").iterdir()) == []


def test_a_difference_is_shown() -> None:
    agreement = comparison.Agreement(64, exact=False, difference=2e-6, spread=4.0)
    assert str(agreement) == (
        "outputs differ from those of the given file by at most 2e-06 on 64 examples, 5e-07 of their range"
    )


@pytest.mark.parametrize("change", [1e-7, 1e-3])
def test_a_network_that_computes_something_else_is_found(change: float, tmp_path: Path) -> None:
    given, other = tmp_path / "given.onnx", tmp_path / "other.onnx"
    for path, factor in ((given, 1), (other, 1 + change)):
        weight = (drawn(192, CLASSES) * factor).astype(np.float32)
        onnx.save(dense(node("Relu", ["input"], ["x"]), weight=weight), path)
    if change > comparison.TOLERANCE:
        with pytest.raises(ModelError, match="outputs differ by"):
            comparison.compare(given, other, examples(), None)
    else:
        assert not comparison.compare(given, other, examples(), None).exact
