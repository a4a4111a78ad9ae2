"""What goes beside a model file tells the truth of it, to people and to machines, in the same bytes every time."""

import html
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from octavo.backends.records import Interface, Saturation
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.params import Params, load_params
from octavo.project.params.policy import Policy
from octavo.promotion.decision import Decision
from octavo.promotion.gate import decide
from octavo.reporting.documents import bundle, model_card

VARIANT = "onnx_int8_static"
HOSTILE = '<img src=x onerror="alert(1)">|`x`\n# [y](//z)'
PARAMS = Path(__file__).parents[4] / "params.yaml"
WRITE = """
import sys
from pathlib import Path
from octavo.evaluation.scorecard import Scorecards
from octavo.project.params.params import load_params
from octavo.promotion.gate import decide
from octavo.reporting.documents import bundle

variant, path = sys.argv[1:]
scorecards, params = Scorecards.model_validate_json(sys.stdin.read()), load_params(Path(path))
decision = decide(scorecards, params.policy, params.baseline)
print(bundle.cards(scorecards.card(variant), scorecards, decision, params)[bundle.BOM], end="")
"""
SPLITS = {name: {"n": n, "images_sha256": f"{n:064x}"} for name, n in {"train": 54_000, "test": 10_000}.items()}


@pytest.fixture
def decision(scorecards: Scorecards, policy: Policy) -> Decision:
    return decide(scorecards, policy, "onnx_fp32")


@pytest.fixture
def params() -> Params:
    return load_params(PARAMS)


@pytest.fixture
def made(scorecards: Scorecards, decision: Decision, params: Params) -> dict[str, str]:
    return bundle.cards(scorecards.card(VARIANT), scorecards, decision, params)


def stated(params: Params, **words: str) -> Params:
    return params.model_copy(update={"registry": params.registry.model_copy(update=words)})


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_the_scorecard_is_the_scorecard(made: dict[str, str], scorecards: Scorecards) -> None:
    assert tuple(made) == bundle.NAMES
    assert Scorecard.model_validate_json(made[bundle.SCORECARD]) == scorecards.card(VARIANT)


def test_the_card_tells_every_figure(made: dict[str, str], scorecards: Scorecards) -> None:
    text, card = made[bundle.MODEL_CARD], scorecards.card(VARIANT)
    wanted = [
        f"{card.quality.top1:.2%} right",
        f"{card.quality.ci95[0]:.2%}",
        *(f"| {digit} | 1000 | {recall:.2%} |" for digit, recall in enumerate(card.quality.per_class_recall)),
        card.model.sha256,
        "21,762 bytes",
        "9.26",
        "AMD EPYC 9V74, onnxruntime 1.32.0",
        "float32 (N, 28, 28): pixels 0 to 255 divided by 255",
        "| conv2d | 47.6 |",
        "Weights stored as integers: 100%.",
        "Unsigned activations.",
        *(str(value) for value in card.lineage.model_dump().values()),
    ]
    assert [words for words in wanted if words not in text] == []


def test_what_nobody_stated_is_said_to_be_not_stated(
    made: dict[str, str], scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    assert "not stated (`registry.license` in params.yaml)" in made[bundle.MODEL_CARD].replace("\\", "")
    assert "Nobody has said so yet" in made[bundle.MODEL_CARD]
    own = stated(params, license="Apache-2.0", intended_use="Digits on forms, not on cheques.")
    told = bundle.cards(scorecards.card(VARIANT), scorecards, decision, own)
    assert "| licence | Apache-2.0 |" in told[bundle.MODEL_CARD]
    assert "Digits on forms, not on cheques." in told[bundle.MODEL_CARD]
    model = json.loads(told[bundle.BOM])["metadata"]["component"]
    assert model["licenses"] == [{"license": {"name": "Apache-2.0"}}]
    assert model["modelCard"]["considerations"]["useCases"] == ["Digits on forms, not on cheques."]


def test_what_is_against_a_variant_is_told(
    scorecards: Scorecards, decision: Decision, params: Params, make_card: Callable[..., Scorecard]
) -> None:
    failed = bundle.cards(scorecards.card("onnx_int8_dynamic"), scorecards, decision, params)[bundle.MODEL_CARD]
    assert "| verdict | fail |" in failed
    assert "It does not meet the policy that it was judged by: the latency ratio is at least 3.43 and" in failed
    assert 'options.add_session_config_entry("session.disable_quant_qdq", "1")' in failed
    assert "It asks for onnxruntime's session option session.disable_quant_qdq. Without it answers change" in failed
    float_card = bundle.cards(scorecards.card("onnx_fp32"), scorecards, decision, params)[bundle.MODEL_CARD]
    assert "none: it is the baseline" in float_card
    assert "| conv2d/Conv2D | Conv | the recipe keeps it in float |" in float_card
    risk = Saturation(layer="conv2d", possible=0.25, share=0.0012)
    card = make_card(VARIANT)
    proof = card.proof.model_copy(update={"saturation": [risk]})
    risky = make_card(VARIANT, proof=proof, interface=None)
    told = bundle.cards(risky, scorecards, decision, params)[bundle.MODEL_CARD]
    assert (
        "On x86 CPUs without VNNI onnxruntime saturates sums of products at 16 bits, which changes answers, in: conv2d."
        in told
    )
    only_there = "# On an x86 CPU without VNNI, and only there: options.add_session_config_entry("
    told = bundle.cards(make_card(VARIANT, proof=proof), scorecards, decision, params)[bundle.MODEL_CARD]
    assert f'{only_there}"session.x64quantprecision", "1")' in told
    assert only_there not in bundle.cards(card, scorecards, decision, params)[bundle.MODEL_CARD]
    assert "| conv2d | 25.00% | 0.12% |" in told


def test_a_file_that_takes_bytes_says_so(
    scorecards: Scorecards, decision: Decision, params: Params, make_card: Callable[..., Scorecard]
) -> None:
    interface = make_card(VARIANT).interface
    assert interface
    takes_bytes = Interface(
        input=interface.input.model_copy(update={"dtype": "uint8"}),
        output=interface.output,
        session_options=interface.session_options,
    )
    text = bundle.cards(make_card(VARIANT, interface=takes_bytes), scorecards, decision, params)[bundle.MODEL_CARD]
    assert "uint8 (N, 28, 28): pixels 0 to 255, as they are" in text
    assert "np.zeros((1, 28, 28), np.uint8)" in text


def test_a_card_says_how_pixels_become_the_input(
    scorecards: Scorecards, decision: Decision, params: Params, make_card: Callable[..., Scorecard]
) -> None:
    encoding = {"scale": 127.5, "mean": [0.5, 1, 2], "std": [0.25], "layout": "channels_first"}
    encoded = scorecards.model_copy(update={"data": scorecards.data | {"encoding": encoding}})
    text = bundle.cards(make_card(VARIANT), encoded, decision, params)[bundle.MODEL_CARD]
    assert "pixels 0 to 255 divided by 127.5, less (0.5, 1, 2) by channel, divided by 0.25, with the channels" in text
    floats = scorecards.model_copy(update={"data": scorecards.data | {"dtype": "float32", "encoding": {"mean": [3]}}})
    text = bundle.cards(make_card(VARIANT), floats, decision, params)[bundle.MODEL_CARD]
    assert "values as the data have them" in text
    assert ", less 3. Output" in text


def test_hostile_names_stay_text(scorecards: Scorecards, decision: Decision, params: Params) -> None:
    data = scorecards.data | {"classes": [HOSTILE, *"123456789"], "source": HOSTILE}
    own = stated(params, license=HOSTILE, intended_use=HOSTILE)
    hostile = scorecards.model_copy(update={"data": data})
    page = rendered(bundle.cards(hostile.card(VARIANT), hostile, decision, own)[bundle.MODEL_CARD])
    assert "<img" not in page
    assert "<a " not in page
    assert page.count("<h1>") == 1
    assert html.escape(" ".join(HOSTILE.split())) in page


@example("&lt;b&gt;")
@example("1. one")
@example("~~~ two")
@example("- three")
@example("_four_ five_six")
@example("__0__")
@example("seven\\")
@example("https://eight.example/<9>")
@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    words = " ".join(text.split())
    assert rendered(model_card.plain(text)) == (
        f"<p>{html.escape(words).replace('&#x27;', chr(39))}</p>\n" if words else ""
    )
    row = rendered(f"| a | b |\n| --- | --- |\n| {model_card.plain(text)} | c |\n")
    assert row.count("<td>") == 2


@pytest.mark.parametrize("variant", load_params(PARAMS).variants)
@pytest.mark.parametrize("data", [{}, {"splits": SPLITS}])
def test_the_bill_keeps_to_the_specification(
    variant: str, data: dict[str, Any], scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    known = scorecards.model_copy(update={"data": scorecards.data | data})
    text = bundle.cards(known.card(variant), known, decision, params)[bundle.BOM]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_bill_has_model_data_libraries_and_figures(
    scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    known, card = scorecards.model_copy(update={"data": scorecards.data | {"splits": SPLITS}}), scorecards.card(VARIANT)
    bill = json.loads(bundle.cards(card, known, decision, params)[bundle.BOM])
    model = bill["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": card.model.sha256}]
    by_name = {part["name"]: part for part in bill["components"]}
    assert by_name["mnist, test"]["hashes"][0]["content"] == f"{10_000:064x}"
    assert by_name["mnist, test"]["data"][0]["description"] == "10000 images; hash of the pixels."
    assert by_name["onnxruntime"]["purl"] == "pkg:pypi/onnxruntime@1.32.0"
    needs = {each["ref"]: each.get("dependsOn") for each in bill["dependencies"]}
    assert needs["model"] == ["pkg:pypi/onnxruntime@1.32.0"]
    assert needs.keys() == {"model", *(part["bom-ref"] for part in bill["components"])}
    metrics = {
        (each["type"], each.get("slice")): each
        for each in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    accuracy = metrics["accuracy", "test, 10000 images"]
    assert float(accuracy["value"]) == card.quality.top1
    assert float(accuracy["confidenceInterval"]["lowerBound"]) == card.quality.ci95[0]
    assert float(metrics["recall", "test, class 7"]["value"]) == card.quality.per_class_recall[7]
    assert float(metrics["size, bytes", None]["value"]) == card.size.file_bytes
    assert [each["ref"] for each in model["modelCard"]["modelParameters"]["datasets"]] == ["data:train", "data:test"]


def test_the_same_inputs_give_the_same_bytes_and_others_another_serial_number(
    made: dict[str, str], scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    again = bundle.cards(scorecards.card(VARIANT), scorecards, decision, load_params(PARAMS))
    assert again == made
    others = {
        json.loads(bundle.cards(card, scorecards, decision, params)[bundle.BOM])["serialNumber"]
        for card in scorecards.scorecards
    }
    assert len(others) == len(scorecards.scorecards)
    assert "timestamp" not in made[bundle.BOM]


def test_a_library_of_a_local_version_has_a_url_that_package_tools_read(
    scorecards: Scorecards, decision: Decision, params: Params
) -> None:
    machine = scorecards.machine | {"versions": {"onnxruntime": "1.32.0+cpu"}}
    known = scorecards.model_copy(update={"machine": machine})
    bill = json.loads(bundle.cards(known.card(VARIANT), known, decision, params)[bundle.BOM])
    (library,) = [part for part in bill["components"] if part["type"] == "library"]
    assert (library["version"], library["purl"]) == ("1.32.0+cpu", "pkg:pypi/onnxruntime@1.32.0%2Bcpu")


@pytest.mark.filterwarnings("error")
def test_a_bill_without_known_libraries_is_whole(scorecards: Scorecards, decision: Decision, params: Params) -> None:
    known = scorecards.model_copy(update={"machine": {}})
    bill = json.loads(bundle.cards(known.card(VARIANT), known, decision, params)[bundle.BOM])
    assert [part["type"] for part in bill["components"]] == ["data"]


@pytest.mark.slow
def test_the_bill_is_the_same_in_another_process(scorecards: Scorecards, params: Params) -> None:
    """Sets of texts are ordered otherwise in each process, unless somebody orders them."""
    decision = decide(scorecards, params.policy, params.baseline)
    written = subprocess.run(
        [sys.executable, "-c", WRITE, VARIANT, str(PARAMS)],
        input=scorecards.model_dump_json(by_alias=True),
        capture_output=True,
        text=True,
        check=True,
    )
    assert written.stdout == bundle.cards(scorecards.card(VARIANT), scorecards, decision, params)[bundle.BOM]
