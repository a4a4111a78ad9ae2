"""A variant whose file is wrong, from `quantize` to `report`: it is refused, and the others are built and judged."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper, numpy_helper

from octavo.backends import model_files
from octavo.backends.records import Refusal
from octavo.data.splits import Samples
from octavo.evaluation.scorecard import Scorecards, load_scorecards
from octavo.onnx_graph import canonicalize
from octavo.project import paths
from octavo.project.params.section import Model
from octavo.quantization import recipes
from octavo_stages import benchmark, evaluate, quantize, report
from tests.octavo import onnx_graphs as graphs

pytestmark = pytest.mark.slow

PARAMS = Path(__file__).parents[2] / "params.yaml"
BAD = "onnx_int8_static"
VARIANTS: dict[str, dict[str, object]] = {
    "onnx_fp32": {"source": "fp32", "recipe": "onnx_fp32"},
    "onnx_fp16": {"source": "fp32", "recipe": "onnx_fp16"},
    BAD: {"source": "fp32", "recipe": "onnx_int8_static"},
}
SECONDS = re.compile(r" \([\d.]+ s\)$", re.MULTILINE)
LOAD = recipes.load
CLASSES = ["a", "b", "c"]
Ended = tuple[int, str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has been exported: channels a million times larger than their neighbours drown them in 8 bits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write_params(VARIANTS)
    network = graphs.stack(3)
    for node in network.graph.node:
        node.doc_string = {"Reshape": "pooled", "Relu": node.input[0]}.get(node.op_type, node.output[0])
    graphs.plant_outliers(network, "c0", "c1", 1e6)
    canonicalize.save(network, paths.exported("fp32") / "model.onnx")
    images = graphs.images(90)
    labels = graphs.answers(network, tmp_path, images).argmax(1)
    for name, part in {"calibration": slice(0, 30), "selection": slice(30, 60), "test": slice(60, 90)}.items():
        paths.split(name).mkdir(parents=True)
        np.save(paths.split(name) / "images.npy", images[part])
        np.save(paths.split(name) / "labels.npy", labels[part])
    duplicates: dict[str, dict[str, int]] = {"within": {}, "across": {}}
    manifest = {"source": "npz", "seed": 0, "image_shape": [4, 8, 8], "dtype": "float32", "classes": CLASSES}
    paths.MANIFEST.write_text(json.dumps(manifest | {"splits": {}, "duplicates": duplicates, "digest": "d" * 64}))
    return tmp_path


def write_params(variants: dict[str, dict[str, object]]) -> None:
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    params["variants"] = variants
    params["benchmark"] = {"batches": [1], "rounds": 10}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a stage: its exit code, and what it says."""

    def run(stage: Callable[..., None], *arguments: str) -> Ended:
        capsys.readouterr()
        try:
            stage(*arguments)
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.fixture
def build(run: Callable[..., Ended]) -> Callable[[], tuple[Scorecards, dict[str, str]]]:
    """Run every stage as `dvc repro` would; the scorecards, and what stages said of refusals by their names."""

    def build() -> tuple[Scorecards, dict[str, str]]:
        variants = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["variants"]
        steps = [(stage.main, name) for stage in (quantize, evaluate) for name in variants]
        said = {}
        for stage, *name in (*steps, (benchmark.main,), (report.main,)):
            code, said[" ".join([stage.__module__, *name])] = run(stage, *name)
            assert code == 0, said
        refusals = {stage: text for stage, text in said.items() if "Refused " in text}
        return load_scorecards(paths.SCORECARDS), {stage: SECONDS.sub("", text) for stage, text in refusals.items()}

    return build


def use(recipe: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the variant that is to be refused be made by that recipe."""

    class Options(Model):
        pass

    def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
        recipe(exported, target)

    made = SimpleNamespace(Options=Options, quantize=quantize, __file__=__file__)
    monkeypatch.setattr(recipes, "load", lambda name: made if name == "onnx_int8_static" else LOAD(name))


def unloadable(exported: Path, target: Path) -> None:
    target.write_bytes(b"no model")


def not_a_number(exported: Path, target: Path) -> None:
    model = canonicalize.load(exported / "model.onnx")
    (bias,) = [tensor for tensor in model.graph.initializer if tensor.dims == [3]]
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    canonicalize.save(model, target)


def broken(exported: Path, target: Path) -> None:
    raise ValueError("not for such a network")


def test_a_drowned_network_is_refused_and_the_others_are_built(
    build: Callable[[], tuple[Scorecards, dict[str, str]]],
) -> None:
    scorecards, said = build()
    assert [card.variant for card in scorecards.scorecards] == ["onnx_fp32", "onnx_fp16"]
    refusal = scorecards.refused[BAD]
    assert (refusal.cause, refusal.jump and refusal.jump.layer) == ("low SQNR", "c1")
    assert said == {f"octavo_stages.quantize {BAD}": f"Refused {BAD}: {refusal}\n"}
    assert [path.name for path in model_files.path_of(BAD).parent.iterdir()] == ["refused.json"]
    assert Refusal.model_validate_json(paths.card(BAD).read_bytes()) == refusal
    assert len(np.load(paths.logits(BAD))) == 0


@pytest.mark.parametrize(
    ("recipe", "cause"), [(unloadable, "not runnable"), (not_a_number, "not finite"), (broken, "not made")]
)
def test_each_kind_of_wrong_file_is_shown_as_refused(
    recipe: Callable[[Path, Path], None],
    cause: str,
    build: Callable[[], tuple[Scorecards, dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(recipe, monkeypatch)
    scorecards, _ = build()
    assert scorecards.refused[BAD].cause == cause
    decision = json.loads(paths.DECISION.read_bytes())
    verdicts = {verdict["variant"]: verdict for verdict in decision["verdicts"]}
    assert verdicts[BAD]["verdict"] == "refused"
    assert verdicts[BAD]["refused"] == str(scorecards.refused[BAD])
    assert decision["winner"] != BAD
    page = paths.REPORT.read_text(encoding="utf-8")
    assert f"refused: {cause}" in page
    assert json.loads(paths.METRICS.read_bytes())[BAD]["refused"] == 1
    assert BAD not in paths.TRADEOFF.read_text(encoding="utf-8")


def test_the_figures_of_an_accepted_file_are_on_its_scorecard(
    build: Callable[[], tuple[Scorecards, dict[str, str]]],
) -> None:
    scorecards, _ = build()
    exact, half = (scorecards.card(name).acceptance for name in ("onnx_fp32", "onnx_fp16"))
    assert exact
    assert half
    assert (exact.sqnr_db, exact.n) == (200, 30)
    assert 30 < half.sqnr_db < 100
    assert "SQNR, dB" in paths.REPORT.read_text(encoding="utf-8")


def test_a_lower_limit_lets_it_pass_and_nothing_of_the_refusal_stays(
    build: Callable[[], tuple[Scorecards, dict[str, str]]],
) -> None:
    _, _ = build()
    limit = {"min_sqnr_db": -100, "options": {"method": "min_max"}}
    write_params(VARIANTS | {BAD: VARIANTS[BAD] | limit})
    scorecards, said = build()
    assert (scorecards.refused, said) == ({}, {})
    assert not paths.refusal(BAD).exists()
    assert scorecards.card(BAD).acceptance


def test_logits_that_are_not_finite_on_test_images_alone_are_refused(
    build: Callable[[], tuple[Scorecards, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a constant became 0, and images that are flat give 0/0."""

    def fragile(exported: Path, target: Path) -> None:
        model = canonicalize.load(exported / "model.onnx")
        flat = helper.make_node("ReduceSumSquare", ["x"], ["power"], axes=[1, 2, 3], keepdims=0)
        for node in model.graph.node:
            node.output[:] = ["own" if name == "y" else name for name in node.output]
        more = [
            helper.make_node("Unsqueeze", ["power", "last"], ["column"]),
            helper.make_node("Div", ["column", "column"], ["one"]),
            helper.make_node("Mul", ["own", "one"], ["y"]),
        ]
        model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "last"))
        model.graph.node.extend([flat, *more])
        onnx.checker.check_model(model)
        canonicalize.save(model, target)

    use(fragile, monkeypatch)
    place = paths.split("test") / "images.npy"
    images = np.load(place)
    images[:2] = 0
    np.save(place, images)
    scorecards, said = build()
    sentence = f"{BAD} gives logits that are NaN or infinite for 2 of 30 images, so these have no predicted class."
    assert scorecards.refused[BAD].reason == sentence
    assert list(said) == [f"octavo_stages.evaluate {BAD}"]
    assert model_files.path_of(BAD).is_file()


def test_a_variant_that_is_not_finite_where_it_is_timed_is_refused(
    build: Callable[[], tuple[Scorecards, dict[str, str]]],
) -> None:
    build()
    not_a_number(paths.exported("fp32"), model_files.path_of("onnx_fp16"))
    benchmark.main()
    report.main()
    assert "for 1 of 1 images" in load_scorecards(paths.SCORECARDS).refused["onnx_fp16"].reason


def test_without_its_baseline_nothing_can_be_measured(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(unloadable, monkeypatch)
    write_params({"onnx_fp32": VARIANTS[BAD], "onnx_fp16": VARIANTS["onnx_fp16"]})
    for name in ("onnx_fp32", "onnx_fp16"):
        assert run(quantize.main, name)[0] == 0
    for stage in (["evaluate", "onnx_fp16"], ["evaluate", "onnx_fp32"], ["benchmark"]):
        code, said = run({"evaluate": evaluate.main, "benchmark": benchmark.main}[stage[0]], *stage[1:])
        assert code == 2
        assert said.startswith(
            "octavo: The baseline onnx_fp32 is refused, and nothing can be measured without a baseline. "
        )
        assert "onnxruntime cannot load" in said
        assert said.rstrip().endswith("Or set another variant as baseline in params.yaml.")


def test_a_mistake_in_params_yaml_still_stops_the_stage(run: Callable[..., Ended]) -> None:
    write_params(VARIANTS | {BAD: VARIANTS[BAD] | {"options": {"bits": 3}}})
    code, said = run(quantize.main, BAD)
    assert (code, "Unknown key 'bits'" in said) == (1, True)
    assert not model_files.path_of(BAD).parent.exists()
    write_params(VARIANTS | {BAD: VARIANTS[BAD] | {"min_sqnr_db": "high"}})
    assert run(quantize.main, BAD)[0] == 1
