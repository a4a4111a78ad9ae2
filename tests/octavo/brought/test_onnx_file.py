"""A network that was brought as ONNX goes through every stage as one that was trained here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from onnx import numpy_helper

from octavo.backends import model_files, network_notes
from octavo.brought import bring, onnx_file
from octavo.data import prepare
from octavo.evaluation import assembly
from octavo.evaluation.benchmark import benchmark
from octavo.evaluation.evaluate import evaluate
from octavo.project import paths
from octavo.project.code import stages
from octavo.project.errors import DataError, ModelError, OctavoError, ParamsError
from octavo.project.files import atomic_write
from octavo.project.params.params import Params
from octavo.promotion import gate
from octavo.quantization import recipes
from octavo.quantization.make import make
from octavo.reporting import report
from octavo.reporting.documents import bundle
from tests.octavo.onnx_graph.foreign.made import model, node
from tests.octavo.onnx_graph.foreign.quantized.made import PYTORCH, Builder

ROOT = Path(__file__).parents[3]
WEIGHTS = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
EVERY = [
    *("onnx_fp32", "onnx_fp16", "onnx_int8_dynamic", "onnx_int8_static", "onnx_int8_weight_only", "onnx_int8_qat"),
    *("litert_fp32", "litert_fp16", "litert_int8_dynamic", "litert_int8_static", "litert_int8_weight_only"),
    "litert_int8_qat",
]


def params(*recipes_: str, **sections: Any) -> Params:
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {
        "data": {"source": "npz", "path": "images.npz", "calibration": 40, "encoding": {"layout": "channels_first"}},
        "networks": {},
        "finetuned": {},
        "brought": {"theirs": {"file": "models/net.onnx"}},
        "variants": {name: {"source": "theirs", "recipe": name} for name in recipes_ or ("onnx_fp32",)},
        "baseline": "onnx_fp32",
        "benchmark": {"batches": [1], "rounds": 10},
    }
    return Params.model_validate(written | sections)


def network(weights: np.ndarray = WEIGHTS, batch: int | str = 1, classes: tuple[int, ...] = (3,)) -> onnx.ModelProto:
    """From one-channel images of 4 x 4, channels first."""
    size = batch if isinstance(batch, int) else -1
    nodes = [
        node("Reshape", ["pixels", "flat"], ["f"]),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["g"], transB=1),
        node("Reshape", ["g", "result"], ["scores/out"]),
    ]
    constants = {"fc.weight": weights.T.copy(), "fc.bias": np.zeros(weights.shape[1], np.float32)}
    constants |= {"flat": np.array([size, 16]), "result": np.array([size, *classes])}
    return model(nodes, constants, batch, (1, 4, 4), 14, ("pixels", "scores/out"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 1), np.uint8)
    labels = (images.reshape(300, 16) @ WEIGHTS).argmax(1)
    np.savez("images.npz", x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:])
    prepare.prepare(params().data, paths.DATA)
    Path("models").mkdir()
    onnx.save(network(), "models/net.onnx")


def test_from_the_file_to_the_report() -> None:
    asked = params(*EVERY)
    Path("params.yaml").write_text(yaml.safe_dump(asked.model_dump(mode="json", by_alias=True)), encoding="utf-8")
    recipes.check(asked)
    said = onnx_file.bring("theirs", asked)
    assert said == (
        "theirs: brought from models/net.onnx, bit for bit the outputs of the given file on 40 examples; accuracy "
        "1.0000 on the selection split"
    )
    made = {name: make(name, asked) for name in EVERY}
    refused = {name: text for name, text in made.items() if "Refused" in text}
    assert list(refused) == ["onnx_int8_qat", "litert_int8_qat"]
    for name in [name for name in EVERY if name not in refused and name.startswith("onnx")]:
        session = onnxruntime.InferenceSession(model_files.path_of(name), providers=["CPUExecutionProvider"])
        (found,) = session.run(["scores/out"], {"pixels": np.zeros((2, 1, 4, 4), np.float32)})
        assert found.shape == (2, 3)
    for name in EVERY:
        evaluate(name, asked)
    assert benchmark(asked) == [name for name in EVERY if name not in refused]
    scorecards = assembly.assemble(asked)
    decision = gate.decide(scorecards, asked.policy, asked.baseline)
    report.write_project(scorecards, decision, asked)
    assert paths.CURVES.read_text(encoding="utf-8").count("\n") == 1
    card = scorecards.card("onnx_int8_static")
    assert card.notes[0].startswith("Brought from models/net.onnx: bit for bit")
    assert any("in batches of 256" in note for note in scorecards.card("onnx_int8_dynamic").notes)
    assert not any("in batches" in note for note in card.notes)
    texts = bundle.cards(card, scorecards, decision, asked)
    assert "brought as models/net.onnx, as theirs" in texts[bundle.MODEL_CARD]
    assert "it is unknown whether it used test images" in texts[bundle.MODEL_CARD]
    assert "brought as models/net.onnx" in texts[bundle.BOM]


def test_its_record_takes_the_place_of_a_training() -> None:
    onnx_file.bring("theirs", params())
    assert [path.name for path in paths.network("theirs").iterdir()] == ["brought.json"]
    found = json.loads(paths.brought("theirs").read_bytes())
    assert found["sha256"] == atomic_write.digest(Path("models/net.onnx"), "sha256")
    assert (found["exact"], found["difference"]) == (True, 0)
    first = [path.read_bytes() for path in sorted(paths.exported("theirs").iterdir())]
    onnx_file.bring("theirs", params())
    assert [path.read_bytes() for path in sorted(paths.exported("theirs").iterdir())] == first


def test_one_that_no_variant_needs_is_not_read() -> None:
    Path("models/net.onnx").unlink()
    other = params(
        data={"source": "npz", "path": "images.npz", "calibration": 40},
        networks={"fp32": {"build": "small_cnn", "epochs": 1, "batch_size": 1}},
        variants={"onnx_fp32": {"source": "fp32", "recipe": "onnx_fp32"}},
    )
    said = bring.bring("theirs", other)
    assert said == "No variant in params.yaml has source 'theirs', so network 'theirs' is not brought in."
    assert network_notes.refusal(paths.exported("theirs")) == said


def test_doubts_are_said() -> None:
    onnx.save(network(-WEIGHTS), "models/net.onnx")
    onnx_file.bring("theirs", params())
    (doubt,) = [each for each in network_notes.read(paths.exported("theirs")) if "selection" in each]
    assert "Check the order of its classes, and that data.encoding is that of its training." in doubt


def test_learned_scales_are_noted_on_scorecards() -> None:
    network_ = Builder(PYTORCH)
    flat = network_.add("Flatten", network_.pair("input", 1.0))
    onnx.save(network_.done(network_.dense(flat, 16, 3, "transB"), batch=1, image=(1, 4, 4)), "models/net.onnx")
    asked = params("onnx_fp32", "onnx_int8_qat")
    onnx_file.bring("theirs", asked)
    for name in asked.variants:
        assert "SQNR" in make(name, asked)
        assert "accuracy" in evaluate(name, asked)
    card = json.loads(paths.card("onnx_int8_qat").read_text(encoding="utf-8"))
    assert "keeps all that it learned: scales and zero points of 1 activations" in " ".join(card["notes"])
    assert card["proof"]["integer_compute_share"] == 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1, 1)])
def test_a_convolution_as_head_gives_logits_too(shape: tuple[int, ...]) -> None:
    onnx.save(network(batch="N", classes=shape), "models/net.onnx")
    asked = params("onnx_fp32", "onnx_int8_static")
    onnx_file.bring("theirs", asked)
    for name in asked.variants:
        assert "SQNR" in make(name, asked)
        assert "accuracy" in evaluate(name, asked)


def nans(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS.T * np.nan, "fc.weight"))
    return made


@pytest.mark.parametrize(
    ("made", "error", "said"),
    [
        (lambda: network(WEIGHTS[:, :2], classes=(2,)), ModelError, r"shape \(2,\) .* the data has 3 classes"),
        (lambda: network(np.tile(WEIGHTS, 2), classes=(2, 3)), ModelError, r"outputs of shape \(2, 3\)"),
        (lambda: nans(network()), ModelError, "48 of 48 values of fc.weight in models/net.onnx are NaN"),
        (lambda: model([node("Flatten", ["input"], ["output"])], {}, image=(3, 4, 4)), DataError,
         r"takes examples of shape \(3, 4, 4\), and data.encoding.layout 'channels_first' gives it \(1, 4, 4\)"),
        (lambda: model([node("Flatten", ["input"], ["output"])], {}, image=(4, 4, 1)), DataError,
         r"Set data.encoding.layout to stored."),
    ],
)  # fmt: skip
def test_what_does_not_fit_leaves_nothing(
    made: Callable[[], onnx.ModelProto], error: type[OctavoError], said: str
) -> None:
    onnx.save(made(), "models/net.onnx")
    with pytest.raises(error, match=said):
        onnx_file.bring("theirs", params())
    assert not (paths.exported("theirs") / "model.onnx").exists()
    assert not paths.brought("theirs").exists()


def test_external_data_are_watched_under_names_that_begin_with_that_of_the_file() -> None:
    plain = stages.digests(params())["beside"]["theirs"]
    onnx.save(network(), "models/net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=100)
    before = stages.digests(params())["beside"]["theirs"]
    onnx_file.bring("theirs", params())
    weights = Path("models/net.onnx.data")
    weights.write_bytes(weights.read_bytes()[::-1])
    assert len({plain, before, stages.digests(params())["beside"]["theirs"]}) == 3
    onnx.save(network(), "models/net.onnx", save_as_external_data=True, location="other.bin", size_threshold=100)
    with pytest.raises(ModelError, match=r"whose weights are in models/other.bin. Their file must be beside it"):
        onnx_file.bring("theirs", params())


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"brought": {"theirs": {"file": "net.pt"}}},
            r"Input should be a file in one of \.onnx, \.keras, \.h5, or the folder of a SavedModel.*got 'net.pt'",
        ),
        ({"brought": {"Theirs": {"file": "net.onnx"}}}, "the name of network 'Theirs' must be lowercase"),
        ({"brought": {"theirs": {}}}, "Field required"),
        ({"networks": {"theirs": {"build": "cnn4", "epochs": 1, "batch_size": 1}}}, "is in both networks and brought"),
        (
            {"finetuned": {"more": {"from": "theirs", "by": "qat", "epochs": 1, "batch_size": 1}}},
            "finetuned.more.from is 'theirs', which is brought as models/net.onnx. Only a network brought as a Keras",
        ),
        (
            {"variants": {"onnx_fp32": {"source": "other", "recipe": "onnx_fp32"}}},
            "is 'other'. Did you mean 'theirs'",
        ),
    ],
)
def test_params_are_checked(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        params(**sections)


def test_a_network_takes_float32() -> None:
    data: dict[str, Any] = {"source": "npz", "path": "images.npz", "calibration": 40}
    data |= {"encoding": {"layout": "channels_first", "dtype": "uint8"}}
    prepare.prepare(params(data=data).data, paths.DATA)
    with pytest.raises(ParamsError, match=r"data.encoding.dtype is 'uint8', and brought network 'theirs' takes"):
        onnx_file.bring("theirs", params(data=data))
