"""Quantization found by trial, and repaired: the same from run to run, resumed where it stood, on the samples alone."""

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from octavo.backends.records import Latency
from octavo.data.splits import Samples, Split
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import preparation
from octavo.project import paths
from octavo.project.errors import ParamsError
from octavo.quantization import ptq, recipes
from octavo.quantization.calibration import METHODS
from octavo.quantization.searching.search import Repair, Search, fastest, repair, search
from octavo.quantization.searching.trial_runner import Bench
from octavo.quantization.searching.trials import Choice, Trial, best
from octavo.statistics.signal_to_noise import sqnr
from octavo.tasks.logits import NotFinite
from tests.octavo import onnx_graphs as graphs

SPACE = Search(seconds=600)
DEEP = graphs.stack(5)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return graphs.stack(3, classes=4)


@pytest.fixture(scope="module")
def drawn(model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Images labelled by the float network itself, but for one in ten."""
    images = graphs.images(200)
    labels = graphs.answers(model, tmp_path_factory.mktemp("labels"), images).argmax(1)
    labels[::10] = 0
    return Samples(graphs.images(60), Split(images, labels))


@pytest.fixture(scope="module")
def trained(train_network: Callable[..., Path]) -> Path:
    return train_network("cnn4", form="fp32")


@pytest.fixture
def exported(model: onnx.ModelProto, tmp_path: Path) -> Path:
    """An empty project's root to work in, and in it the network as recipes get it."""
    os.chdir(tmp_path)
    canonicalize.save(model, tmp_path / "exported/model.onnx")
    return tmp_path / "exported"


def run(exported: Path, target: Path, samples: Samples, **space: object) -> tuple[bytes, bytes]:
    """The model and the table of trials that the recipe writes."""
    recipes.quantize("onnx_int8_static", exported, target, samples, {"search": {"seconds": 600} | space, "repair": {}})
    return target.read_bytes(), target.with_name(paths.TRIALS_CSV).read_bytes()


def remembered(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.json")}


@pytest.mark.slow
def test_two_searches_find_the_same(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    first = run(exported, tmp_path / "a/model.onnx", drawn)
    paths.TRIALS.rename("other")
    assert run(exported, tmp_path / "b/model.onnx", drawn) == first
    assert first[1].count(b"\n") == len(remembered(paths.TRIALS)) + 1


def test_a_second_search_remembers_the_first(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    first = run(exported, tmp_path / "a/model.onnx", drawn)
    before = remembered(paths.TRIALS)
    assert before
    assert run(exported, tmp_path / "b/model.onnx", drawn) == first
    assert remembered(paths.TRIALS) == before


@pytest.mark.slow
def test_a_search_cut_short_goes_on_where_it_stood(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    run(exported, tmp_path / "a/model.onnx", drawn, seconds=0)
    before = remembered(paths.TRIALS)
    resumed = run(exported, tmp_path / "b/model.onnx", drawn)
    after = remembered(paths.TRIALS)
    assert len(after) > len(before)
    assert {path: after[path] for path in before} == before
    paths.TRIALS.rename("other")
    assert run(exported, tmp_path / "c/model.onnx", drawn) == resumed


def test_other_inputs_are_other_trials(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    other = Samples(drawn.calibration[:-1], drawn.selection)
    relabelled = Samples(drawn.calibration, Split(drawn.selection.images, drawn.selection.labels[::-1]))
    for each in (drawn, other, relabelled):
        Bench(model, each, tmp_path).try_out(Choice())
    Bench(graphs.stack(2, classes=4), drawn, tmp_path).try_out(Choice())
    assert len(remembered(tmp_path)) == 4


@pytest.mark.slow
def test_several_workers_find_the_same(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    alone = run(exported, tmp_path / "a/model.onnx", drawn)
    paths.TRIALS.rename("other")
    assert run(exported, tmp_path / "b/model.onnx", drawn, workers=2) == alone


@pytest.mark.slow
def test_only_the_samples_are_looked_at(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    """Splits that lie about in the project, damaged, change nothing; nothing is written but trials and the target."""
    clean = run(exported, tmp_path / "a/model.onnx", drawn)
    paths.TRIALS.rename("other")
    for name in ("train", "calibration", "selection", "test"):
        paths.split(name).mkdir(parents=True)
        for part in ("images.npy", "labels.npy"):
            (paths.split(name) / part).write_bytes(b"no array")
    assert run(exported, tmp_path / "b/model.onnx", drawn) == clean
    assert {path.name for path in paths.ARTIFACTS.iterdir()} == {"data", "trials"}
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"model.onnx", paths.TRIALS_CSV}


def test_every_method_and_granularity_is_tried(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    tried = Bench(model, drawn, tmp_path)
    search(tried, Choice(left=("c1",)), SPACE)
    choices = [trial.choice for trial in tried.trials]
    plain = {(each.method, each.per_channel) for each in choices if not (each.bias_correction or each.equalize)}
    assert plain == {(method, each) for method in METHODS for each in (True, False)}
    assert {each.left for each in choices} == {("c1",)}
    assert any(each.bias_correction for each in choices)
    assert len(tried.table().splitlines()) - 1 == len(choices) == len(set(choices))


def test_what_is_found_is_no_worse_than_the_default(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    tried = Bench(model, drawn, tmp_path)
    found = tried.try_out(search(tried, Choice(), SPACE))
    assert round(found.sqnr_db) >= round(tried.try_out(Choice()).sqnr_db)


def test_sets_of_layers_and_operators_are_left_in_float(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    tried = Bench(model, drawn, tmp_path)
    space = Search(
        methods=("min_max",), float_layers=((0,), (0, 2)), float_operators=(("GlobalAveragePool",), ("Tanh",))
    )
    search(tried, Choice(), space)
    first, _, third, *_ = ptq.layers(model)
    pools = {node.output[0] for node in model.graph.node if node.op_type == "GlobalAveragePool"}
    assert {frozenset(trial.choice.left) for trial in tried.trials} == {
        frozenset(), frozenset({first}), frozenset({first, third}), *([frozenset(pools)] if pools else []),
    }  # fmt: skip


def test_among_equals_what_is_measurably_slower_is_left_out(
    model: onnx.ModelProto, drawn: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = Bench(model, drawn, tmp_path)
    alike = {"agreement": 1, "accuracy": 1, "sqnr_db": 40, "file_bytes": 100}
    trials = [Trial(choice=Choice(left=left), **alike) for left in ((), ("a",), ("b",))]
    intervals = {(): (0.5, 0.6), ("a",): (0.55, 0.8), ("b",): (0.7, 0.9)}
    timed = {"n": 1, "p50_us": 1, "p90_us": 1, "p99_us": 1, "ratio": 1}
    latency = {
        choice.form: Latency(**timed, ratio_ci95=intervals[choice.left]) for choice in (each.choice for each in trials)
    }
    monkeypatch.setattr(tried, "time", lambda _: latency)
    assert [trial.choice.left for trial in fastest(tried, trials)] == [(), ("a",)]


@pytest.mark.slow
def test_latency_is_measured_where_asked(exported: Path, drawn: Samples, tmp_path: Path) -> None:
    space = {"methods": ["min_max"], "float_layers": [[0]], "latency": True}
    _, table = run(exported, tmp_path / "model.onnx", drawn, **space)
    ratios = [
        float(row["latency_ratio"]) for row in csv.DictReader(table.decode().splitlines()) if row["latency_ratio"]
    ]
    assert ratios
    assert all(0.01 < ratio < 100 for ratio in ratios)


def test_a_trial_is_what_its_file_will_do(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    tried = Bench(model, drawn, tmp_path)
    trial = tried.try_out(Choice(bias_correction=True))
    path = tmp_path / "model.onnx"
    canonicalize.save(tried.quantize(trial.choice), path)
    wanted = graphs.answers(model, tmp_path, drawn.selection.images)
    got = graphs.answers(onnx.load(path), tmp_path, drawn.selection.images)
    assert trial.file_bytes == path.stat().st_size
    assert trial.agreement == (wanted.argmax(1) == got.argmax(1)).mean()
    assert trial.accuracy == (got.argmax(1) == drawn.selection.labels).mean()
    assert trial.sqnr_db == pytest.approx(sqnr(wanted, got), abs=0.01)


def test_the_ratio_of_signal_to_noise() -> None:
    wanted = np.ones(1000)
    assert sqnr(wanted, wanted + 0.1) == pytest.approx(20)
    assert sqnr(wanted, wanted) == 200


shares = st.integers(0, 300).map(lambda right: right / 300)
some_trials = st.lists(
    st.builds(
        Trial,
        choice=st.just(Choice()),
        agreement=shares,
        accuracy=shares,
        sqnr_db=st.floats(-10, 60),
        file_bytes=st.integers(1, 9),
    ),
    min_size=1,
    max_size=12,
)


@given(some_trials, st.integers(10, 10_000))
def test_the_best_is_within_a_standard_error_of_the_most_agreeing(trials: list[Trial], n: int) -> None:
    chosen = best(trials, n)
    agreement = max(trial.agreement for trial in trials)
    share = (agreement * n + 2) / (n + 4)
    assert chosen.agreement >= agreement - math.sqrt(share * (1 - share) / (n + 4)) - 1e-12


@given(some_trials, st.integers(10, 10_000))
def test_no_trial_is_better_than_the_best_in_everything(trials: list[Trial], n: int) -> None:
    chosen = best(trials, n)
    assert not any(
        trial.agreement >= chosen.agreement
        and trial.accuracy >= chosen.accuracy
        and round(trial.sqnr_db) > round(chosen.sqnr_db)
        and trial.file_bytes < chosen.file_bytes
        for trial in trials
    )


def test_chance_does_not_decide() -> None:
    """One image more of a thousand is chance, twenty are not; then the decibels count, and then the bytes."""

    def trial(agreement: float, sqnr_db: float, file_bytes: int = 100) -> Trial:
        return Trial(choice=Choice(), agreement=agreement, accuracy=0.9, sqnr_db=sqnr_db, file_bytes=file_bytes)

    lucky, clean, far = trial(0.999, 20), trial(0.998, 30), trial(0.979, 60)
    assert best([lucky, clean, far], 1000) == clean
    assert best([clean, trial(0.998, 30.2, 90)], 1000).file_bytes == 90
    assert best([clean, trial(0.998, 40, 110)], 1000).file_bytes == 110


def evaluations(tried: Bench, layers: int, prefix: int) -> tuple[int, int]:
    """How many there were, and how many there may be: all integers, each layer alone, bisection, pruning."""
    return len(tried.trials), 1 + layers + math.ceil(math.log2(layers)) + prefix


class Imagined(Bench):
    """Trials whose outcome is known: accuracy is whole once the layers `needed` are in float."""

    def __init__(self, model: onnx.ModelProto, needed: set[str], damage: Mapping[str, float]) -> None:
        self.model, self.needed, self.damage = model, needed, damage
        self.kernels = ptq.ONNXRUNTIME
        self.samples = Samples(np.zeros(0), Split(np.zeros(0), np.zeros(0)))
        self.trials: list[Trial] = []
        self.float_accuracy = 1.0

    def try_out(self, choice: Choice) -> Trial:
        quantized = set(self.damage) - set(choice.left)
        accuracy = 0.5 if quantized & self.needed else 1.0
        decibels = 100 - sum(self.damage[layer] for layer in quantized)
        trial = Trial(choice=choice, agreement=accuracy, accuracy=accuracy, sqnr_db=decibels, file_bytes=1)
        if trial not in self.trials:
            self.trials.append(trial)
        return trial


LAYERS = ("c0", "c1", "c2", "c3", "c4", "y")


@given(st.sets(st.sampled_from(LAYERS)), st.permutations(range(len(LAYERS))))
def test_repair_finds_the_layers_that_are_needed_and_no_others(needed: set[str], damage: list[int]) -> None:
    """Whatever their rank; those ranked in front of the last of them are tried and put back in integers."""
    imagined = Imagined(DEEP, needed, dict(zip(LAYERS, map(float, damage), strict=True)))
    repaired = repair(imagined, Choice(), Repair())
    assert set(repaired.left) == needed
    if needed:
        prefix = len(LAYERS) - min(damage[LAYERS.index(layer)] for layer in needed)
        made, allowed = evaluations(imagined, len(LAYERS), prefix)
        assert made <= allowed


class Damaging(Bench):
    """Per tensor all answers agree but are noisy; per channel a few answers differ, and there is less noise."""

    def __init__(self, model: onnx.ModelProto, samples: Samples) -> None:
        self.model, self.samples, self.n = model, samples, 1000
        self.trials: list[Trial] = []

    def try_out(self, choice: Choice) -> Trial:
        agreement, decibels = (0.9, 30.0) if choice.per_channel else (1.0, 9.0)
        return Trial(choice=choice, agreement=agreement, accuracy=agreement, sqnr_db=decibels, file_bytes=1)


@pytest.mark.parametrize(("limit", "per_channel", "dropped"), [(10, True, True), (9, False, False), (31, False, True)])
def test_trials_that_damage_the_network_are_dropped(
    limit: float, per_channel: bool, dropped: bool, drawn: Samples, capsys: pytest.CaptureFixture[str]
) -> None:
    """Agreement counts first, among those that keep the network; where none does, repair or a refusal comes next."""
    bench = Damaging(DEEP, Samples(drawn.calibration, drawn.selection, limit))
    assert search(bench, Choice(), SPACE).per_channel == per_channel
    assert ("are dropped" in capsys.readouterr().err) == dropped


def test_repair_goes_on_until_the_network_is_kept(tmp_path: Path) -> None:
    """All images are of one class, so accuracy alone says that nothing is lost."""
    model = planted(graphs.stack(3, classes=2), [("c0", "c1"), ("c1", "c2")])
    (bias,) = [tensor for tensor in model.graph.initializer if tensor.name == "y_b"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.array([0, 9], np.float32), "y_b"))
    images = graphs.images()
    bench = Bench(model, Samples(images, Split(images, np.ones(64, np.int64)), 45), tmp_path)
    assert (bench.float_accuracy, bench.try_out(Choice()).accuracy) == (1, 1)
    assert bench.try_out(Choice()).sqnr_db < 45
    assert bench.try_out(repair(bench, Choice(), Repair())).sqnr_db >= 45


def test_a_trial_that_gives_nan_answers_nothing(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    bench = Bench(model, drawn, tmp_path)
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    for tensor in broken.graph.initializer:
        if tensor.name == "y_b":
            tensor.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "y_b"))
    bench.quantize = lambda *_: broken  # type: ignore[method-assign]
    trial = bench.try_out(Choice())
    assert (trial.agreement, trial.accuracy, trial.sqnr_db) == (0, 0, -200)
    with pytest.raises(
        NotFinite, match="the float network gives logits that are NaN or infinite for 200 of 200 images"
    ):
        Bench(broken, drawn, tmp_path / "other").try_out(Choice())


def planted(model: onnx.ModelProto, pairs: Sequence[tuple[str, str]]) -> onnx.ModelProto:
    damaged = onnx.ModelProto()
    damaged.CopyFrom(model)
    for first, second in pairs:
        graphs.plant_outliers(damaged, first, second)
    return damaged


def test_what_lost_nothing_is_not_repaired(model: onnx.ModelProto, drawn: Samples, tmp_path: Path) -> None:
    tried = Bench(model, drawn, tmp_path)
    assert repair(tried, Choice(), Repair(max_accuracy_drop=0.05)) == Choice()
    assert len(tried.trials) == 1


def test_repair_leaves_in_float_what_was_damaged(drawn: Samples, tmp_path: Path) -> None:
    model = planted(graphs.stack(8, classes=4, pooled=False), [("c2", "c3")])
    labels = graphs.answers(model, tmp_path, drawn.selection.images).argmax(1)
    tried = Bench(model, Samples(drawn.calibration, Split(drawn.selection.images, labels)), tmp_path)
    limits = Repair(max_accuracy_drop=0.05)
    assert tried.try_out(Choice(method="min_max")).accuracy < 0.9
    repaired = repair(tried, Choice(method="min_max"), limits)
    assert tried.try_out(repaired).accuracy >= 0.95
    assert set(repaired.left) & {"c2", "c3"}
    assert len(repaired.left) <= 3
    made, allowed = evaluations(tried, 9, 3)
    assert made <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("method", ["least_error", "min_max"])
def test_a_network_with_planted_outliers_is_repaired(
    method: str, trained: Path, samples: Samples, tmp_path: Path
) -> None:
    """Channels a thousand times larger than their neighbours, in four of six layers: accuracy 0.94, INT8's 0.2."""
    float_network = onnx.load(trained / "fp32/model.onnx")
    preparation.prepare(float_network)
    first, second, third, fourth, *_ = layers = ptq.layers(float_network)
    damaged = planted(float_network, [(first, second), (third, fourth)])
    tried = Bench(damaged, samples, tmp_path)
    assert tried.float_accuracy == Bench(float_network, samples, tmp_path).float_accuracy > 0.9
    assert tried.try_out(Choice(method=method)).accuracy < 0.5
    repaired = tried.try_out(repair(tried, Choice(method=method), Repair()))
    assert repaired.accuracy >= tried.float_accuracy - 0.001
    assert 1 <= len(repaired.choice.left) <= 4
    made, allowed = evaluations(tried, len(layers), len(repaired.choice.left))
    assert made <= allowed


@pytest.mark.parametrize("options", [{"method": "entropy"}, {"search": {"methods": ["min_max", "entropy"]}}])
def test_an_unknown_method_is_answered_with_the_known(
    options: dict[str, object], drawn: Samples, tmp_path: Path
) -> None:
    known = ", ".join(METHODS)
    with pytest.raises(ParamsError, match=f"Unknown calibration method 'entropy'. Known: {known}"):
        recipes.quantize("onnx_int8_static", tmp_path, tmp_path / "model.onnx", drawn, options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"bits": 4}, "method, .*search, repair, round_output"),
        ({"search": {"bits": 4}}, "methods, .*workers"),
        ({"repair": {"bits": 4}}, "max_accuracy_drop"),
    ],
)
def test_an_unknown_option_is_answered_with_the_known(
    options: dict[str, object], known: str, drawn: Samples, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match=rf"Unknown key 'bits'\. Known: {known}\."):
        recipes.quantize("onnx_int8_static", tmp_path, tmp_path / "model.onnx", drawn, options)


def test_a_layer_that_is_not_there_is_answered_with_how_many_are(
    exported: Path, drawn: Samples, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match="float_layers has 4, but the network has 4 layers"):
        recipes.quantize("onnx_int8_static", exported, tmp_path / "model.onnx", drawn, {"float_layers": [0, 4]})
