"""The files of a report, and its page."""

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from octavo.evaluation.scorecard import Scorecard, Scorecards, load_scorecards
from octavo.project import paths as project_paths
from octavo.project.errors import ModelError
from octavo.project.params.policy import Policy
from octavo.promotion.decision import Decision
from octavo.promotion.gate import decide
from octavo.reporting import report

FILES = (
    project_paths.SCORECARDS,
    project_paths.DECISION,
    project_paths.METRICS,
    project_paths.TRADEOFF,
    project_paths.CURVES,
    project_paths.TRIALS_TRIED,
    project_paths.REPORT,
)
PARENTS = {"control": "fp32", "qat": "fp32"}
CURVE = "epoch,loss,accuracy,val_loss,val_accuracy\n0,1.5,0.5,1.4,0.55\n1,0.7,0.8,0.8,0.78\n"
HOSTILE = '</style><script src="//evil">alert(1)</script>'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def decision(scorecards: Scorecards, policy: Policy) -> Decision:
    return decide(scorecards, policy, "onnx_fp32")


@pytest.fixture
def trainings(tmp_path: Path) -> dict[str, Path]:
    paths = {network: tmp_path / f"{network}.csv" for network in ("fp32", "control", "qat")}
    for path in paths.values():
        path.write_text(CURVE)
    return paths


class Page(HTMLParser):
    """The tags, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page() -> Page:
    return Page(project_paths.REPORT.read_text(encoding="utf-8"))


def test_the_scorecards_come_back_as_they_were(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    assert load_scorecards(project_paths.SCORECARDS) == scorecards
    assert json.loads(project_paths.SCORECARDS.read_text())["schema"] == 1


def test_metrics_and_tradeoff_hold_every_variant(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    metrics = json.loads(project_paths.METRICS.read_text())
    with project_paths.TRADEOFF.open(newline="") as lines:
        tradeoff = {row["variant"]: row for row in csv.DictReader(lines)}
    assert list(metrics) == list(tradeoff) == [card.variant for card in scorecards.scorecards]
    for name, row in tradeoff.items():
        assert metrics[name]["accuracy"] == float(row["accuracy"])
        assert metrics[name]["latency_us"] == float(row["latency_us"])
        assert metrics[name]["size_bytes"] == int(row["size_bytes"])


def test_the_same_inputs_give_the_same_bytes(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    before = {path: path.read_bytes() for path in FILES}
    report.write(scorecards, decision, trainings, {}, PARENTS)
    assert {path: path.read_bytes() for path in FILES} == before
    assert set(project_paths.REPORTS.iterdir()) == set(FILES)


def test_a_failure_leaves_the_last_report_as_it_was(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    before = {path: path.read_bytes() for path in FILES}
    trainings["qat"].write_text("epoch,loss\n0,not a number\n")
    with pytest.raises(ModelError, match=r"qat\.csv is not what training writes .*not a number"):
        report.write(scorecards, decision, trainings, {}, PARENTS)
    assert {path: path.read_bytes() for path in FILES} == before


def test_the_page_stands_alone(scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    html = project_paths.REPORT.read_text(encoding="utf-8")
    assert not re.findall(r"https?:|//\w|url\(|@import", html)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page().tags)
    assert not {"src", "href", "xlink:href", "srcset"} & {name for name, _ in page().attributes}


def test_the_page_shows_every_variant_the_winner_and_its_reasons(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    report.write(scorecards, decision, trainings, {}, PARENTS)
    text = page().text
    assert "Winner: litert_int8_dynamic" in text
    for card in scorecards.scorecards:
        assert card.variant in text
        assert card.model.sha256 in text
    assert "accuracy_drop_exceeded" in text
    assert "the recipe keeps it in float" in text
    assert "Unsigned activations." in text
    assert "withheld" in text
    assert "AMD EPYC 9V74" in text


def test_a_hostile_class_name_is_only_text(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    data = scorecards.data | {"classes": [HOSTILE, *"123456789"]}
    report.write(scorecards.model_copy(update={"data": data}), decision, trainings, {}, PARENTS)
    assert "script" not in page().tags
    assert HOSTILE in page().text


def test_without_a_winner_the_page_says_so(scorecards: Scorecards, policy: Policy) -> None:
    strict = decide(scorecards, policy.model_copy(update={"max_size_ratio": 0.01}), "onnx_fp32")
    report.write(scorecards, strict, {}, {}, {})
    assert "No variant meets the policy" in page().text


def test_trainings_that_were_not_run_are_left_out(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path]
) -> None:
    trainings["control"].unlink()
    report.write(scorecards, decision, trainings, {}, PARENTS)
    curves = {value for name, value in page().attributes if name == "class" and value and value.startswith("curve ")}
    assert curves == {"curve hue0", "curve hue0 validation", "curve hue1", "curve hue1 validation"}
    report.write(scorecards, decision, {}, {}, {})
    assert "Training curves" not in [value for name, value in page().attributes if name == "aria-label"]


@pytest.mark.parametrize(
    "empty", ["", "epoch,loss,accuracy,val_loss,val_accuracy\n", "epoch,loss,accuracy\n0,nan,nan\n"]
)
def test_a_curve_without_figures_is_left_out(
    scorecards: Scorecards, decision: Decision, trainings: dict[str, Path], empty: str
) -> None:
    for path in trainings.values():
        path.write_text(empty)
    report.write(scorecards, decision, trainings, {}, PARENTS)
    assert "Training" not in page().text


def test_the_baseline_alone_makes_a_report(scorecards: Scorecards, policy: Policy) -> None:
    alone = scorecards.model_copy(update={"scorecards": [scorecards.card("onnx_fp32")]})
    report.write(alone, decide(alone, policy, "onnx_fp32"), {}, {}, {})
    assert "onnx_fp32" in page().text


def test_a_matrix_of_a_thousand_classes_is_not_drawn(
    scorecards: Scorecards, policy: Policy, make_card: Callable[..., Scorecard]
) -> None:
    many = scorecards.card("onnx_fp32").quality.model_copy(
        update={"per_class_recall": [0.9] * 1000, "confusion": [[9] * 1000] * 1000}
    )
    alone = scorecards.model_copy(update={"scorecards": [make_card("onnx_fp32", quality=many)]})
    report.write(alone, decide(alone, policy, "onnx_fp32"), {}, {}, {})
    assert "Confusion matrix" not in page().text


def test_a_baseline_that_does_not_beat_the_majority_class_is_said_above_the_table(
    scorecards: Scorecards, policy: Policy, make_card: Callable[..., Scorecard]
) -> None:
    constant = scorecards.card("onnx_fp32").quality.model_copy(update={"confusion": [[900, 0], [100, 0]]})
    alone = scorecards.model_copy(update={"scorecards": [make_card("onnx_fp32", quality=constant)]})
    report.write(alone, decide(alone, policy, "onnx_fp32"), {}, {}, {})
    text = page().text
    assert "does not beat the majority class" in text
    assert text.index("does not beat the majority class") < text.index("Policy, against")


def test_what_a_search_tried_is_listed_with_its_variant(
    scorecards: Scorecards, decision: Decision, tmp_path: Path
) -> None:
    (tmp_path / "trials.csv").write_text("trial,method,agreement\n0,min_max,0.9975\n1,least_error,0.9985\n")
    report.write(
        scorecards, decision, {}, {"onnx_int8_static": tmp_path / "trials.csv", "onnx_fp16": tmp_path / "no.csv"}, {}
    )
    text = page().text
    assert text.count("Trials of the search") == 1
    assert all(value in text for value in ("min_max", "0.9975", "least_error", "0.9985"))


def test_a_refused_variant_is_shown_with_its_layers_and_timed_nowhere(
    with_refused: Scorecards, policy: Policy, trainings: dict[str, Path]
) -> None:
    report.write(with_refused, decide(with_refused, policy, "onnx_fp32"), trainings, {}, PARENTS)
    shown = page().text
    refusal = with_refused.refused["onnx_int8_noise"]
    assert "refused: low SQNR" in shown
    assert refusal.reason in shown
    assert refusal.remedy in shown
    assert "11 variants, 1 of them refused, on 10,000 test images" in shown
    assert json.loads(project_paths.METRICS.read_text())["onnx_int8_noise"] == {"refused": 1, "sqnr_db": 3.2}
    assert "onnx_int8_noise" not in project_paths.TRADEOFF.read_text()
    assert load_scorecards(project_paths.SCORECARDS) == with_refused
