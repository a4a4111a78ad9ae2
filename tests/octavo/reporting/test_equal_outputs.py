"""Where people look, equal outputs are told in exact counts, with the kernels that computed them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from octavo.evaluation.scorecard import Parity, Scorecards
from octavo.project import paths
from octavo.project.params.params import load_params
from octavo.project.params.policy import Policy
from octavo.promotion.gate import decide
from octavo.reporting import compare, equal_outputs, report
from octavo.reporting.documents.model_card import model_card

PARAMS = Path(__file__).parents[3] / "params.yaml"
NETWORK = Parity(top1=9_000, n=10_000, identical=0.8, largest=1, step=0.25, equal=90_000, values=100_000)
TWIN = Parity(
    top1=9_999,
    n=10_000,
    identical=0.9998,
    largest=1,
    step=0.25,
    equal=99_998,
    values=100_000,
    kernels="XNNPACK",
    reference_kernels="onnxruntime",
)
BACK = TWIN.model_copy(update={"kernels": "onnxruntime", "reference_kernels": "XNNPACK"})
MICRO = TWIN.model_copy(
    update={"top1": 100, "n": 100, "equal": 950, "values": 1000, "reference_kernels": "TFLite Micro"}
)
LINE = (
    "Same integers in litert_int8_qat and onnx_int8_qat: 9,999 of 10,000 decisions and 99,998 of 100,000 outputs are "
    "equal (XNNPACK against onnxruntime)."
)
MICRO_TOLD = "100 of 100 decisions and 950 of 1,000 outputs are equal (XNNPACK against TFLite Micro)"


@pytest.fixture
def paired(scorecards: Scorecards) -> Scorecards:
    """Two variants with the same integers; the LiteRT file was computed by TFLite Micro too."""
    found = {
        "onnx_int8_qat": {"network": NETWORK, "litert_int8_qat": BACK},
        "litert_int8_qat": {"network": NETWORK, "onnx_int8_qat": TWIN, "TFLite Micro": MICRO},
    }
    cards = [card.model_copy(update={"parity": found.get(card.variant, card.parity)}) for card in scorecards.scorecards]
    return scorecards.model_copy(update={"scorecards": cards})


def test_each_pair_has_one_line_and_other_kernels_have_none(paired: Scorecards, scorecards: Scorecards) -> None:
    assert equal_outputs.lines(paired) == [LINE]
    assert equal_outputs.lines(scorecards) == []


def test_a_variant_is_compared_with_its_twin_and_with_other_kernels_but_its_network(paired: Scorecards) -> None:
    assert equal_outputs.comparisons(paired.card("litert_int8_qat")) == {
        "onnx_int8_qat, of the same integers": LINE.partition(": ")[2].rstrip("."),
        "the same file by TFLite Micro": MICRO_TOLD,
    }


def test_a_parity_of_an_older_scorecard_has_its_decisions() -> None:
    old = Parity(top1=9, n=10, identical=0.9, largest=1, step=0.5)
    assert equal_outputs.told(old) == "9 of 10 decisions are equal"


def test_of_float_outputs_the_largest_difference_is_told(scorecards: Scorecards) -> None:
    floats = BACK.model_copy(update={"step": None, "largest": 0.1073})
    card = scorecards.scorecards[0].model_copy(update={"parity": {"litert_int8_dynamic": floats}})
    assert list(equal_outputs.comparisons(card)) == ["litert_int8_dynamic, of the same weights"]
    assert equal_outputs.told(floats) == (
        "9,999 of 10,000 decisions are equal, float outputs differ by at most 0.11 (onnxruntime against XNNPACK)"
    )


def test_compare_report_and_model_card_say_it(
    paired: Scorecards, policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    decision = decide(paired, policy, "onnx_fp32")
    paths.REPORTS.mkdir()
    paths.SCORECARDS.write_text(paired.model_dump_json(by_alias=True))
    paths.DECISION.write_text(decision.model_dump_json())
    table = CliRunner().invoke(compare.command, [], catch_exceptions=False).stdout
    assert LINE in " ".join(table.split())
    page = report.page(paired, decision, {}, {}, {})
    assert LINE in page
    assert MICRO_TOLD in page
    card = model_card(paired.card("litert_int8_qat"), paired, decision, load_params(PARAMS))
    assert "\n- Compared with the network that it was made of: the same class for 9000 of 10000 images" in card
    assert f"\n- Compared with the same file by TFLite Micro: {MICRO_TOLD}.\n" in card
