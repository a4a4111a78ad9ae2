"""What the user gets: the advice, the programs beside a file, and the folder that appears whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.onnx_graph import session_options
from octavo.project.errors import ParamsError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.policy import Policy
from octavo.promotion import gate
from octavo.promotion.decision import Decision
from octavo.reporting.one_command.results import output_folder, run_files, shipping

POLICY = Policy(max_accuracy_drop=0.01, max_size_ratio=0.5, max_latency_ratio=1.25)


def with_images(card: Scorecard, n: int) -> Scorecard:
    """A card of as many test images, none of which the variant breaks or fixes."""
    paired = card.quality.vs_baseline.model_copy(update={"broke": 0, "fixed": 0, "per_class": {"0": (0, 0, n)}})
    confusion = [[n - 10, 0], [0, 10]]
    quality = card.quality.model_copy(
        update={"n": n, "vs_baseline": paired, "confusion": confusion, "per_class_recall": [1.0, 1.0]}
    )
    return card.model_copy(update={"quality": quality})


def all_open(decision: Decision) -> Decision:
    """The same reasons, but the gate decides nothing: here the baseline is no better than the majority class."""
    verdicts = tuple(each.model_copy(update={"verdict": "underpowered"}) for each in decision.verdicts)
    return decision.model_copy(update={"verdicts": verdicts})


class TestShipping:
    def test_the_winner_is_shipped(self, scorecards: Scorecards) -> None:
        decision = gate.decide(scorecards, POLICY, "onnx_fp32")
        found = shipping.choose(scorecards, decision, {}, True)
        assert found.ship == decision.winner
        assert found.proven
        assert "meets every limit, the best of" in found.why

    def test_of_those_that_are_not_proven_the_best_on_selection_images_is_named(
        self, make_card: Callable[..., Scorecard], scorecards: Scorecards
    ) -> None:
        names = ("onnx_fp32", "onnx_int8_static", "litert_int8_dynamic")
        cards = [with_images(make_card(name), 50) for name in names]
        few = scorecards.model_copy(update={"scorecards": cards, "data": {}})
        decision = gate.decide(few, POLICY.model_copy(update={"max_recall_drop": 0.99}), "onnx_fp32")
        undecided = all_open(decision)
        needed = next(reason.needed for reason in undecided.verdicts[0].reasons if reason.rule == "accuracy")
        assert needed
        for best, other in (names[1:], names[:0:-1]):
            found = shipping.choose(few, undecided, {best: 0.99, other: 0.98}, True)
            assert (found.ship, found.proven, found.more_test_images) == (best, False, needed - 50)
            assert f"{needed - 50:,} more test images decide, which is about" in found.why
        assert "--data" not in shipping.choose(few, undecided, {best: 0.99, other: 0.98}, False).why

    def test_equal_ones_are_chosen_by_the_policy(
        self, make_card: Callable[..., Scorecard], scorecards: Scorecards
    ) -> None:
        names = ("onnx_fp32", "onnx_int8_static", "litert_int8_dynamic")
        few = scorecards.model_copy(update={"scorecards": [with_images(make_card(name), 50) for name in names]})
        decision = gate.decide(few.model_copy(update={"data": {}}), POLICY, "onnx_fp32")
        undecided = all_open(decision)
        assert shipping.choose(few, undecided, dict.fromkeys(names, 1.0), True).ship == "litert_int8_dynamic"

    def test_where_all_fail_the_float_model_is_shipped(self, scorecards: Scorecards) -> None:
        strict = POLICY.model_copy(update={"max_size_ratio": 1e-6})
        found = shipping.choose(scorecards, gate.decide(scorecards, strict, "onnx_fp32"), {}, True)
        assert found.ship == "onnx_fp32"
        assert "No variant meets the limits" in found.why


class TestPrograms:
    def test_session_options_of_the_file_are_set(self, make_card: Callable[..., Scorecard], tmp_path: Path) -> None:
        card = make_card("onnx_int8_dynamic")
        assert card.interface
        asked = {session_options.RUN_IN_FLOAT: "1", session_options.AS_WRITTEN: "1"}
        card = card.model_copy(update={"interface": card.interface.model_copy(update={"session_options": asked})})
        run_files.write(
            card, tmp_path / "model.onnx", InputEncoding(), np.zeros((28, 28), np.uint8), ["no", "yes"], 256
        )
        python, cpp = ((tmp_path / name).read_text() for name in run_files.PROGRAMS)
        assert "add_session_config_entry('session.disable_quant_qdq', '1')" in python
        assert 'AddConfigEntry("session.disable_quant_qdq", "1")' in cpp
        for text in (python, cpp):
            assert "ORT_DISABLE_ALL" in text
            assert session_options.AS_WRITTEN not in text

    def test_names_cannot_break_out_of_their_strings(self, make_card: Callable[..., Scorecard], tmp_path: Path) -> None:
        card, name = make_card("onnx_fp32"), 'a"\\\n*/ #include ä'
        assert card.interface
        source = card.interface.input.model_copy(update={"name": name})
        card = card.model_copy(update={"interface": card.interface.model_copy(update={"input": source})})
        classes = ["'", '"""\nimport os', "??/"]
        run_files.write(card, tmp_path / "model.onnx", InputEncoding(), np.zeros((28, 28), np.uint8), classes, 256)
        python, cpp = ((tmp_path / each).read_text() for each in run_files.PROGRAMS)
        compile(python, "run.py", "exec")
        assert "\nimport os\n" not in python
        assert r'"a\042\134\012*/ #include \303\244"' in cpp


class TestFolder:
    def test_it_takes_the_place_of_earlier_results(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        (out / "onnx_fp32").mkdir(parents=True)
        (out / "onnx_fp32" / "model.onnx.data").touch()
        with output_folder.written(out) as new:
            (new / "report.html").write_text("new")
            assert (out / "onnx_fp32").is_dir(), "the old results stay until the new ones are whole"
        assert [path.name for path in out.iterdir()] == ["report.html"]
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_what_appears_meanwhile_is_not_replaced(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        writing = output_folder.written(out)
        writing.__enter__()
        out.mkdir()
        (out / "mine").touch()
        with pytest.raises(ParamsError, match="mine"):
            writing.__exit__(None, None, None)
        assert [path.name for path in out.iterdir()] == ["mine"]

    @pytest.mark.parametrize("kind", ["file", "link", "here", "above", "nowhere", "kernel's"])
    def test_places_that_cannot_be_replaced(self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "folder")
        monkeypatch.chdir(tmp_path / "folder")
        places = {"here": Path(), "above": tmp_path, "nowhere": tmp_path / "no" / "out", "kernel's": Path("/proc/out")}
        with pytest.raises(ParamsError, match="--out"):
            output_folder.check(places.get(kind, tmp_path / kind))
