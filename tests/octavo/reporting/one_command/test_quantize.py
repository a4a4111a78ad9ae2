"""The whole command on real files: what lies in the folder, what the figures are of, and what is said."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from octavo.backends import model_files
from octavo.evaluation.scorecard import load_scorecards
from octavo.project.errors import DataError, ModelError, OctavoError, ParamsError
from octavo.project.params.params import load_params
from octavo.promotion.decision import load_decision
from octavo.reporting.one_command.quantize import LIMITS, MAX_ACCURACY_DROP, quantize
from tests.architecture.source_tree import ROOT
from tests.octavo.reporting.one_command import patterns

LITERT = ("litert_fp16", "litert_fp32", "litert_int8_dynamic", "litert_int8_static", "litert_int8_weight_only")
ONNX = ("onnx_fp16", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8_static", "onnx_int8_weight_only")
MADE = (*LITERT, *ONNX)


def answered(file: Path, pixels: np.ndarray) -> np.ndarray:
    """The scores of a file by its runtime alone."""
    fed = patterns.encoded(pixels)
    if file.suffix == ".onnx":
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["scores"], {"photo": fed})[0])
    interpreter = Interpreter(str(file))
    interpreter.resize_tensor_input(0, (len(fed), *fed.shape[2:], 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], fed.transpose(0, 2, 3, 1))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def run(model: Path, data: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    """Run the command with `--json`, and return what it prints."""
    capsys.readouterr()
    quantize(model, data, patterns.OPTIONS | options)
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patterns.network(tmp_path_factory.mktemp("model") / "net.onnx")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patterns.folder(tmp_path_factory.mktemp("photos"), 600)


@pytest.fixture(scope="module")
def made(model: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], set[str]]:
    """One run in a process of its own: the folder, what was printed, and the libraries that were imported."""
    home = tmp_path_factory.mktemp("home")
    program = (
        "import json, sys; from pathlib import Path; from octavo.reporting.one_command.quantize import quantize; "
        f"quantize(Path({str(model)!r}), Path({str(photos)!r}), {patterns.OPTIONS | {'seconds': 20.0}!r}); "
        "print('modules', json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed, _, modules = done.stdout.rpartition("modules ")
    return home / "net-octavo", json.loads(printed), set(json.loads(modules))


def test_the_folder_holds_models_programs_records_and_the_report(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    out, printed, _ = made
    assert sorted(path.name for path in out.iterdir()) == ["decision.json", *MADE, "report.html", "scorecards.json"]
    for name in MADE:
        model = "model.onnx" if name in ONNX else "model.tflite"
        assert {model, "run.py", "run.cpp"} <= {path.name for path in (out / name).iterdir()}
    cards, decision = load_scorecards(out / "scorecards.json"), load_decision(out / "decision.json")
    assert sorted(card.variant for card in cards.scorecards) == sorted(MADE)
    for card in cards.scorecards:
        assert card.model.sha256 == model_files.sha256(out / card.model.path)
    assert printed["ship"] == decision.winner
    assert (out.parent / printed["file"]).is_file()
    assert [path.name for path in out.parent.iterdir()] == [out.name], "nothing is left beside it"


def test_it_needs_neither_training_nor_a_project(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    assert made[2].isdisjoint({"tensorflow", "mlflow", "dvc", "tf2onnx"})


def test_without_litert_there_are_the_onnx_files(model: Path, photos: Path, tmp_path: Path) -> None:
    """Where the package cannot be imported, nothing tries to."""
    program = (
        "import sys; sys.modules['ai_edge_litert'] = None; from pathlib import Path; "
        "from octavo.reporting.one_command.quantize import quantize; "
        f"quantize(Path({str(model)!r}), Path({str(photos)!r}), {patterns.OPTIONS!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert sorted(each["variant"] for each in printed["variants"]) == sorted(ONNX)
    for name in LITERT:
        assert printed["left_out"][name] == "LiteRT is not installed. Run: pip install 'octavo[litert]'"


def test_what_is_left_out_is_named_with_the_reason(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    left_out = made[1]["left_out"]
    assert "fake quantization" in left_out["onnx_int8_qat"]
    assert "Keras" in left_out["litert_int8_static_tensorflow"]
    assert "fake quantization" in left_out["litert_int8_qat"]
    assert not left_out.keys() & set(MADE)


def test_a_recipe_that_is_asked_for_and_not_possible_is_refused(model: Path, photos: Path, tmp_path: Path) -> None:
    asked = patterns.OPTIONS | {"out": tmp_path / "out", "recipes": ("onnx_fp16", "onnx_int8_qat")}
    said = r"--recipe onnx_int8_qat is not possible: it needs .*fake quantization\. Possible: litert_fp16, litert_fp32"
    with pytest.raises(ParamsError, match=said):
        quantize(model, photos, asked)
    assert list(tmp_path.iterdir()) == []


def test_figures_are_of_test_images_alone(made: tuple[Path, dict[str, Any], set[str]], photos: Path) -> None:
    out, _, _ = made
    cards = load_scorecards(out / "scorecards.json")
    splits = cards.data["splits"]
    assert sum(split["n"] for split in splits.values()) == 600
    assert splits["test"]["n"] > 300
    for card in cards.scorecards:
        assert card.quality.n == splits["test"]["n"]
        assert card.acceptance
        assert card.acceptance.n == splits["test"]["n"]


def test_accuracy_is_that_of_the_file_by_hand(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    """Of all images, by the runtime alone: near the accuracy of the test images."""
    out, _, _ = made
    pixels, labels = patterns.images(600)
    for card in load_scorecards(out / "scorecards.json").scorecards:
        scores = answered(out / card.model.path, pixels)
        assert card.quality.top1 > 0.8, "the network is no good, and nothing here means anything"
        assert abs((scores.argmax(1) == labels).mean() - card.quality.top1) < 0.05


def test_twins_hold_the_same_integers(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    out, _, _ = made
    pixels, _ = patterns.images(600)
    one, other = (out / "onnx_int8_static/model.onnx", out / "litert_int8_static/model.tflite")
    assert np.array_equal(answered(one, pixels), answered(other, pixels))
    trials = [(out / name / "trials.csv").read_text() for name in ("onnx_int8_static", "litert_int8_static")]
    assert trials[0] == trials[1]


def test_files_of_both_formats_are_measured_beside_one_baseline(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    cards, decision = load_scorecards(made[0] / "scorecards.json"), load_decision(made[0] / "decision.json")
    assert decision.baseline == "onnx_fp32"
    assert {verdict.variant for verdict in decision.verdicts} == set(MADE) - {"onnx_fp32"}
    size = cards.card("onnx_fp32").size.file_bytes
    for card in cards.scorecards:
        assert card.size.ratio == pytest.approx(card.size.file_bytes / size, abs=1e-3)
        assert card.quality.vs_baseline.agreement > 0.9
        assert (card.proof.integer_weight_share == 1) == ("int8" in card.variant)
    assert cards.card("litert_int8_static").proof.integer_compute_share == 1


def test_run_py_runs_as_typed_and_answers_as_the_file_does(
    made: tuple[Path, dict[str, Any], set[str]], photos: Path, tmp_path: Path
) -> None:
    out, _, _ = made
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(photos.rglob("*.png"))[:9]])
    np.save(tmp_path / "nine.npy", pixels)
    for name in MADE:
        program = out / name / "run.py"
        alone = "import sys; sys.modules['octavo'] = None; sys.argv = sys.argv[1:]; import runpy; "
        alone += "runpy.run_path(sys.argv[0], run_name='__main__')"
        lines = subprocess.run(
            [sys.executable, "-c", alone, program, tmp_path / "nine.npy"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        scores = answered(next((out / name).glob("model.*")), pixels)
        wanted = [f"{n} {patterns.KINDS[row.argmax()]} {row.max():.4f}" for n, row in enumerate(scores)]
        if name != "onnx_int8_dynamic":  # it asks for a session option
            assert lines == wanted, name
        assert len(lines) == len(wanted)
        files = [program, *sorted(photos.rglob("*.png"))[:9]]
        assert subprocess.check_output([sys.executable, *files], text=True).splitlines() == lines
    refused = subprocess.run(
        [sys.executable, out / MADE[0] / "run.py", __file__], capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Cannot read ")
    assert refused.stderr.count("\n") == 1
    zeros = subprocess.run([sys.executable, out / MADE[0] / "run.py"], capture_output=True, text=True, check=True)
    assert zeros.stdout.startswith("0 ")
    np.save(tmp_path / "moved.npy", np.moveaxis(pixels, -1, 1))
    moved = [sys.executable, str(out / MADE[0] / "run.py"), str(tmp_path / "moved.npy")]
    refused = subprocess.run(moved, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Examples have shape (9, ")


def test_run_cpp_declares_the_same_input(made: tuple[Path, dict[str, Any], set[str]]) -> None:
    text = (made[0] / "onnx_int8_dynamic" / "run.cpp").read_text()
    assert "const float mean[] = {0.5, 0.4, 0.6};" in text
    assert "{1, 3, 16, 16}" in text
    assert '"photo"' in text
    assert '"scores"' in text
    asked = load_scorecards(made[0] / "scorecards.json").card("onnx_int8_dynamic").interface
    assert asked
    for option, value in asked.session_options.items():
        if option.startswith("session."):
            assert f'AddConfigEntry("{option}", "{value}")' in text
    litert = (made[0] / "litert_int8_static" / "run.cpp").read_text()
    assert 'TfLiteModelCreateFromFile("model.tflite")' in litert
    assert "{1, 16, 16, 3}" in litert, "a LiteRT file takes the channels last"
    assert "encoded[i] = value;" in litert
    assert "onnxruntime" not in litert


def test_the_same_inputs_give_the_same_bytes(
    made: tuple[Path, dict[str, Any], set[str]], model: Path, photos: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run(model, photos, capsys, out=tmp_path / "again", seconds=20.0)
    for path in sorted(made[0].glob("*/*")):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(made[0])).read_bytes() == path.read_bytes(), path


def test_without_labels_the_agreement_is_the_measure_and_that_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = patterns.folder(tmp_path / "photos", 60, labelled=False)
    quantize(model, data, patterns.OPTIONS | {"out": tmp_path / "out", "as_json": False})
    out = capsys.readouterr().out
    assert "agreement" in out.splitlines()[0]
    assert "accuracy" not in out.splitlines()[0]
    assert "The data have no labels" in out
    decision = load_decision(tmp_path / "out" / "decision.json")
    assert not decision.labelled
    rules = {reason.rule.value for verdict in decision.verdicts for reason in verdict.reasons}
    assert {"agreement", "sqnr", "size", "latency"} <= rules
    assert "Agreement" in (tmp_path / "out" / "report.html").read_text()


def test_too_few_images_prove_nothing_and_the_number_that_would_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The slowest recipe is left out, so that no verdict hangs on the clock."""
    data = patterns.folder(tmp_path / "photos", 40)
    printed = run(model, data, capsys, out=tmp_path / "out", recipes=("onnx_int8_weight_only",))
    decision = load_decision(tmp_path / "out" / "decision.json")
    (verdict,) = decision.verdicts
    accuracy = next(reason for reason in verdict.reasons if reason.rule == "accuracy")
    n = load_scorecards(tmp_path / "out" / "scorecards.json").card("onnx_fp32").quality.n
    assert accuracy.needed
    if verdict.verdict == "underpowered":
        assert not printed["proven"]
        assert printed["more_test_images"] == accuracy.needed - n
        assert f"{accuracy.needed - n:,} more test images decide" in printed["why"]


def test_a_wrong_encoding_is_suspected_when_the_model_is_no_better_than_a_guess(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(
        model, photos, capsys, out=tmp_path / "out", mean=(), std=(), scale=1e6, recipes=("onnx_int8_weight_only",)
    )
    assert printed["ship"] == "onnx_fp32"
    assert "--scale" in printed["why"]


def test_one_class_is_said_plainly(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels, _ = patterns.images(60)
    np.savez(tmp_path / "data.npz", x=pixels, y=np.zeros(60, np.int64))
    printed = run(model, tmp_path / "data.npz", capsys, out=tmp_path / "out", recipes=("onnx_fp16",))
    assert "All test images are of class 0" in printed["why"]
    assert "--unlabelled" in printed["why"]
    said = " ".join(reason for line in printed["variants"] for reason in line["reasons"])
    assert "all of one class" in said
    assert "limit 1.0" not in said


def test_floats_that_look_like_pixels_are_asked_about(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, labels = patterns.images(60)
    hints = {}
    for name, divisor, std in (("raw", 1, ()), ("divided", 255, ()), ("declared", 1, (255.0,))):
        np.savez(tmp_path / f"{name}.npz", x=pixels.astype(np.float32) / divisor, y=labels)
        printed = run(
            model, tmp_path / f"{name}.npz", capsys, out=tmp_path / name, mean=(), std=std, recipes=("onnx_fp16",)
        )
        hints[name] = [said for said in printed["remarks"] if "divided by 255" in said]
    assert len(hints["raw"]) == 1
    assert not hints["divided"]
    assert not hints["declared"]


def test_data_given_apart_is_used_for_nothing_else(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apart = {
        name: patterns.folder(tmp_path / name, n, seed) for name, n, seed in (("test", 44, 5), ("calibration", 36, 6))
    }
    run(model, photos, capsys, out=tmp_path / "out", recipes=("onnx_int8_weight_only",), **apart)
    splits = load_scorecards(tmp_path / "out" / "scorecards.json").data["splits"]
    assert {name: split["n"] for name, split in splits.items()} == {"calibration": 36, "selection": 600, "test": 44}


def test_test_images_are_dropped_from_what_chooses(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the data are also the test, saved as other files."""
    data, test = patterns.folder(tmp_path / "data", 80), tmp_path / "test"
    for path in sorted(data.rglob("*.png"))[::2]:
        copy = test / path.relative_to(data).with_suffix(".bmp")
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(copy)
    quantize(model, data, patterns.OPTIONS | {"out": tmp_path / "out", "test": test, "recipes": ("onnx_fp16",)})
    splits = load_scorecards(tmp_path / "out" / "scorecards.json").data["splits"]
    assert splits["calibration"]["n"] + splits["selection"]["n"] == 40
    assert splits["test"]["n"] == 40
    assert "have the same pixels as others" in capsys.readouterr().err


def test_copies_are_no_evidence(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forty images, each of them 75 times, prove no more than forty."""
    pixels, labels = patterns.images(40)
    printed = {}
    for name, times in (("once", 1), ("often", 75)):
        np.savez(tmp_path / f"{name}.npz", x=np.repeat(pixels, times, axis=0), y=np.repeat(labels, times))
        printed[name] = run(
            model, tmp_path / f"{name}.npz", capsys, out=tmp_path / name, recipes=("onnx_int8_weight_only",)
        )
    decided = {name: load_decision(tmp_path / name / "decision.json").verdicts[0] for name in printed}
    accuracy = {name: next(r for r in each.reasons if r.rule == "accuracy") for name, each in decided.items()}
    assert accuracy["once"] == accuracy["often"]
    assert accuracy["often"].found == "underpowered"
    assert printed["often"]["remarks"] == [
        "2,960 examples of --data are left out: they have the same content as others, and a copy proves nothing more."
    ]


def test_what_has_no_form_in_litert_is_refused_by_name_and_stops_nothing_else(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = onnx.load(model)
    network.graph.node[-1].input[0] = "sums"
    network.graph.node.insert(4, onnx.helper.make_node("CumSum", ["features", "axis"], ["sums"], name="adding"))
    network.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "axis"))
    onnx.save(network, tmp_path / "net.onnx")
    data, asked = patterns.folder(tmp_path / "photos", 60), ("litert_fp32", "onnx_fp16")
    run(tmp_path / "net.onnx", data, capsys, out=tmp_path / "out", recipes=asked)
    cards = load_scorecards(tmp_path / "out" / "scorecards.json")
    assert {card.variant for card in cards.scorecards} == {"onnx_fp32", "onnx_fp16"}
    assert "CumSum (layer 'adding') has no form in LiteRT" in cards.refused["litert_fp32"].reason


def test_the_dynamic_file_is_measured_as_its_program_runs_it(
    made: tuple[Path, dict[str, Any], set[str]], tmp_path: Path
) -> None:
    """One image at a time: then the answers do not depend on the other images, and the program says so."""
    out, printed, _ = made
    card = load_scorecards(out / "scorecards.json").card("onnx_int8_dynamic")
    assert printed["notes"] == {card.variant: card.notes}
    assert any("were measured one image at a time" in note for note in card.notes)
    assert not load_scorecards(out / "scorecards.json").card("onnx_int8_static").notes
    for program in ("run.py", "run.cpp"):
        assert "an answer can change" in (out / card.variant / program).read_text()
    pixels, _ = patterns.images(6)
    few, many = tmp_path / "few.npy", tmp_path / "many.npy"
    np.save(few, pixels)
    np.save(many, np.concatenate([pixels, np.zeros_like(pixels[:1])]))  # its features are larger than all others
    answers = [
        subprocess.run(
            [sys.executable, out / card.variant / "run.py", path], capture_output=True, text=True, check=True
        ).stdout.splitlines()[:6]
        for path in (few, many)
    ]
    assert answers[0] == answers[1]


class TestRefusals:
    """Each ends before anything is written."""

    def test_a_folder_with_other_files_stays(self, model: Path, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(ParamsError, match=r"notes\.txt"):
            quantize(model, photos, patterns.OPTIONS | {"out": tmp_path})
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_the_model_may_not_lie_in_the_folder(self, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "onnx_fp32").mkdir()
        inside = patterns.network(tmp_path / "onnx_fp32" / "model.onnx")
        with pytest.raises(ParamsError, match="lies in --out"):
            quantize(inside, photos, patterns.OPTIONS | {"out": tmp_path})
        assert inside.is_file()

    def test_a_failure_leaves_the_last_results(
        self, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "scorecards.json").write_text("the last ones")

        def fail(*_: object) -> None:
            raise ModelError("no")

        monkeypatch.setattr("octavo.reporting.one_command.measuring.measure", fail)
        with pytest.raises(ModelError):
            quantize(model, photos, patterns.OPTIONS | {"out": out, "recipes": ("onnx_fp16",)})
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert (out / "scorecards.json").read_text() == "the last ones"

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"mean": (0.1, 0.2)}, "--mean has 2 numbers"),
            ({"layout": "nhwc"}, "NHWC"),
        ],
    )
    def test_options_that_do_not_fit(
        self, model: Path, photos: Path, tmp_path: Path, options: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(OctavoError, match=named):
            quantize(model, photos, patterns.OPTIONS | {"out": tmp_path / "out"} | options)
        assert not any(tmp_path.iterdir())

    def test_earlier_variants_are_not_lost(
        self, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data, out = patterns.folder(tmp_path / "photos", 40), tmp_path / "out"
        run(model, data, capsys, out=out, recipes=("onnx_fp16",))
        before = (out / "scorecards.json").read_bytes()
        with pytest.raises(ParamsError, match="has onnx_fp16 of an earlier run"):
            quantize(model, data, patterns.OPTIONS | {"out": out, "recipes": ("onnx_int8_weight_only",)})
        assert (out / "scorecards.json").read_bytes() == before
        run(model, data, capsys, out=out, recipes=("onnx_int8_weight_only", "onnx_fp16"))
        assert (out / "onnx_int8_weight_only").is_dir()

    def test_labels_beyond_the_outputs(self, model: Path, tmp_path: Path) -> None:
        pixels, labels = patterns.images(40)
        for add, said in (
            (1, "They begin at 1: subtract 1 from all"),
            (9, "subtract 9"),
            (labels * 2, "Give the index"),
        ):
            np.savez(tmp_path / "data.npz", x=pixels, y=labels + add)
            with pytest.raises(DataError, match=said):
                quantize(model, tmp_path / "data.npz", patterns.OPTIONS | {"out": tmp_path / "out"})

    def test_labels_that_no_output_stands_for(self, model: Path, tmp_path: Path) -> None:
        data = patterns.folder(tmp_path / "photos", 40)
        for kind in "sponge", "tin":
            (data / "rows").rename(data / kind) if kind == "tin" else (data / kind).mkdir()
        with pytest.raises(DataError, match="5 class folders, and the model has 4 outputs"):
            quantize(model, data, patterns.OPTIONS | {"out": tmp_path / "out"})


def test_the_limits_are_those_of_the_params_that_come_with_octavo() -> None:
    policy = load_params(ROOT / "params.yaml").policy
    assert policy.model_copy(update={"max_accuracy_drop": MAX_ACCURACY_DROP, **LIMITS}) == policy


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"photo": patterns.encoded(patterns.images(64, 3)[0])}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def test_a_network_with_learned_integers_is_made_smaller_and_keeps_them(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quant_pre_process(model, tmp_path / "ready.onnx", skip_symbolic_shape=True)
    int8 = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(tmp_path / "ready.onnx", tmp_path / "learned.onnx", Reader(), **int8)
    printed = run(tmp_path / "learned.onnx", photos, capsys, out=tmp_path / "out")
    assert printed["ship"] in ("onnx_int8_qat", "litert_int8_qat")
    for name in ("onnx_int8_static", "litert_fp32"):
        assert "would lose the learned ranges" in printed["left_out"][name]
    given, made = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for path in (tmp_path / "learned.onnx", tmp_path / "out/onnx_int8_qat/model.onnx")
    )
    feeds = {"photo": patterns.encoded(patterns.images(200, 5)[0])}
    assert np.array_equal(given.run(None, feeds)[0], made.run(None, feeds)[0])
    pixels = patterns.images(200, 5)[0]
    twin = answered(tmp_path / "out/litert_int8_qat/model.tflite", pixels)
    assert np.array_equal(twin, answered(tmp_path / "out/onnx_int8_qat/model.onnx", pixels))
    baseline, integer, litert = load_scorecards(tmp_path / "out/scorecards.json").scorecards
    assert litert.proof.integer_compute_share == 1
    assert (baseline.proof.integer_weight_share, integer.proof.integer_compute_share) == (0, 1)
    assert integer.notes[-1] == "onnx_int8_qat gives bit for bit the outputs of the given file on 64 examples."
