"""`octavo compare`: the same figures as a table, as JSON and as Markdown."""

import doctest
import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import octavo.reporting.variants_table
from octavo.evaluation.scorecard import Scorecards
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.params.policy import Policy
from octavo.promotion.gate import decide
from octavo.reporting.compare import command, show
from octavo.reporting.variants_table import cells, findings, gains, table


@pytest.fixture
def reports(scorecards: Scorecards, policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.REPORTS.mkdir()
    paths.SCORECARDS.write_text(scorecards.model_dump_json(by_alias=True))
    paths.DECISION.write_text(decide(scorecards, policy, "onnx_fp32").model_dump_json())


def run(*arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).stdout


def test_figures_read_as_people_write_them(scorecards: Scorecards, policy: Policy) -> None:
    rows = {row.variant: cells(row) for row in table(scorecards, decide(scorecards, policy, "onnx_fp32"))}
    assert rows["onnx_fp32"] == ("onnx_fp32", "96.47%", "", "83.2", "1.000", "10.4", "1.000", "∞", "0%", "baseline")
    assert rows["onnx_int8_qat"] == (
        "onnx_int8_qat",
        "96.95%",
        "+0.48 [+0.27, +0.70]",
        "22.2",
        "0.267",
        "9.46",
        "0.910 [0.892, 0.937]",
        "43.3",
        "100%",
        "pass",
    )
    assert rows["litert_int8_dynamic"][-2:] == ("99.9%", "pass, winner")
    assert rows["onnx_fp16"][-1] == "fail: size"


def test_a_baseline_that_does_not_beat_the_majority_class_is_said_in_every_form(
    scorecards: Scorecards, policy: Policy, reports: None
) -> None:
    cards = [
        card.model_copy(update={"quality": card.quality.model_copy(update={"confusion": [[900, 0], [100, 0]]})})
        for card in scorecards.scorecards
    ]
    constant = scorecards.model_copy(update={"scorecards": cards})
    paths.SCORECARDS.write_text(constant.model_dump_json(by_alias=True))
    paths.DECISION.write_text(decide(constant, policy, "onnx_fp32").model_dump_json())
    said = "Baseline onnx_fp32 does not beat the majority class: it is right on 900 of 1,000 test images"
    assert said in run()
    assert run().splitlines()[-1] == "No variant meets the policy."
    assert said in run("--markdown")
    found = json.loads(run("--json"))
    assert (found["winner"], found["majority"]["beaten"], found["majority"]["right"]) == (None, False, 900)


@pytest.mark.usefixtures("reports")
def test_a_pipe_gets_every_variant_on_one_line_and_the_winner(scorecards: Scorecards) -> None:
    lines = run().splitlines()
    for card in scorecards.scorecards:
        (line,) = [line for line in lines if line.split()[:1] == [card.variant]]
        assert f"{card.quality.top1:.2%}" in line
    assert "Winner litert_int8_dynamic." in lines[-1]


@pytest.mark.parametrize("columns", [80, 120, 160])
def test_a_terminal_shows_every_figure_whole(
    scorecards: Scorecards,
    policy: Policy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    rows = table(scorecards, decision)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    show(rows, decision)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= columns
    for row in rows:
        (words,) = [line.split() for line in lines if line.split()[:1] == [row.variant]]
        assert {f"{row.accuracy:.2%}", f"{row.size_ratio:.3f}", f"{row.latency_ratio:.3f}"} <= set(words)
    assert any("fail: size" in line for line in lines) == (columns == 160)


def test_a_pipe_gets_all_the_reasons_at_any_length(
    scorecards: Scorecards, policy: Policy, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = Policy(max_accuracy_drop=0.001, max_size_ratio=0.01, max_latency_ratio=0.01)
    decision = decide(scorecards, strict, "onnx_fp32")
    show(table(scorecards, decision), decision)
    out = capsys.readouterr().out
    assert "fail: accuracy, size, latency" in out
    assert "No variant meets the policy." in out


@pytest.mark.usefixtures("reports")
def test_json_is_unrounded(scorecards: Scorecards) -> None:
    printed = json.loads(run("--json"))
    assert (printed["winner"], printed["baseline"]) == ("litert_int8_dynamic", "onnx_fp32")
    sizes = {row["variant"]: row["size_ratio"] for row in printed["variants"]}
    assert sizes == {card.variant: card.size.ratio for card in scorecards.scorecards}


@pytest.mark.usefixtures("reports")
def test_markdown_is_a_table_with_the_winner_in_bold(scorecards: Scorecards) -> None:
    lines = run("--markdown").splitlines()
    assert len(lines) == 2 + len(scorecards.scorecards)
    assert len({line.count("|") for line in lines}) == 1
    assert [line for line in lines if "**" in line] == [line for line in lines if "litert_int8_dynamic" in line]


def test_what_qat_gained_beyond_more_training_is_told(scorecards: Scorecards, policy: Policy) -> None:
    rows = table(scorecards, decide(scorecards, policy, "onnx_fp32"))
    assert gains(rows) == [
        f"QAT beyond more training: {name} -0.06 points, 95% interval [-0.21, +0.08]"
        for name in ("onnx_int8_qat", "litert_int8_qat")
    ]


def test_each_variant_that_did_not_pass_is_told_its_figures_and_limits(scorecards: Scorecards, policy: Policy) -> None:
    told = findings(table(scorecards, decide(scorecards, policy, "onnx_fp32")))
    assert "Fail onnx_fp16: size ratio 0.5127, limit 0.5." in told
    assert "Fail onnx_int8_dynamic: the latency ratio is at least 3.43 and could be up to 3.605, limit 1.05." in told
    assert [line.split()[1] for line in told if "accuracy drop" in line] == ["litert_int8_static:"]


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]])
def test_a_refused_variant_is_shown_with_its_reason(
    form: list[str], with_refused: Scorecards, policy: Policy, reports: None
) -> None:
    paths.SCORECARDS.write_text(with_refused.model_dump_json(by_alias=True))
    paths.DECISION.write_text(decide(with_refused, policy, "onnx_fp32").model_dump_json())
    shown = run(*form)
    (line, *_) = [line for line in shown.splitlines() if "onnx_int8_noise" in line]
    if form == ["--json"]:
        *_, row = json.loads(shown)["variants"]
        assert (row["variant"], row["verdict"], row["sqnr_db"]) == ("onnx_int8_noise", "refused", 3.2)
        assert row["reasons"] == [str(with_refused.refused["onnx_int8_noise"])]
    else:
        assert "refused: low SQNR" in line
        assert "3.2" in line
    if not form:
        assert "Refused onnx_int8_noise: Its outputs' SQNR is 3.2 dB. Set repair: {} in its options." in shown


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("path", [paths.SCORECARDS, paths.DECISION])
@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_missing_or_broken_report_says_what_to_run(path: Path, content: str | None) -> None:
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=rf"{path.name}.*dvc repro"):
        run()


def test_the_formats_are_as_documented() -> None:
    assert doctest.testmod(octavo.reporting.variants_table) == doctest.TestResults(failed=0, attempted=8)
