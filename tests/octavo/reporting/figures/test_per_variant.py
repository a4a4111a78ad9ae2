"""Pictures show the scorecard's figures, stand alone, and have the same bytes every time."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.reporting.figures.bars import bars
from octavo.reporting.figures.confusion import AREA, confusion
from octavo.reporting.figures.per_variant import pictures

VARIANT = "onnx_int8_static"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</style><script href="//evil">alert(1)</script>'


@pytest.fixture
def drawn(scorecards: Scorecards) -> dict[str, bytes]:
    return pictures(scorecards.card(VARIANT), scorecards)


def texts(picture: bytes, tag: str = "text") -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}{tag}")]  # noqa: S314 - ours


def test_each_picture_shows_its_figures(drawn: dict[str, bytes], scorecards: Scorecards) -> None:
    card = scorecards.card(VARIANT)
    assert list(drawn) == ["confusion.svg", "layer_error.svg", "tradeoff.svg"]
    counts = [str(count) for row in card.quality.confusion for count in row if count]
    written = ElementTree.fromstring(drawn["confusion.svg"]).iter(f"{SVG}text")  # noqa: S314 - ours
    assert [text.text for text in written if text.get("class") == "middle"] == counts
    assert "3 taken for 5: 4" in texts(drawn["confusion.svg"], "title")
    assert texts(drawn["layer_error.svg"])[1:] == ["conv2d", "47.6", "dense", "51.3"]
    assert {each.variant for each in scorecards.scorecards} <= set(texts(drawn["tradeoff.svg"]))


def test_its_own_variant_has_the_ring(scorecards: Scorecards) -> None:
    for card in scorecards.scorecards[:3]:
        root = ElementTree.fromstring(pictures(card, scorecards)["tradeoff.svg"])  # noqa: S314 - ours
        (ringed,) = [group for group in root.iter(f"{SVG}g") if group.find(f"{SVG}circle[@class='ring']") is not None]
        assert (ringed.findtext(f"{SVG}title") or "").startswith(f"{card.variant}:")


def test_pictures_stand_alone_and_stay_the_same(drawn: dict[str, bytes], scorecards: Scorecards) -> None:
    assert pictures(scorecards.card(VARIANT), scorecards) == drawn
    for picture in drawn.values():
        text = picture.decode().replace("http://www.w3.org/2000/svg", "", 1)
        assert not re.findall(r"https?:|//\w|url\(|@import|<script|<image|href", text)
        width, height = (float(ElementTree.fromstring(picture).attrib[name]) for name in ("width", "height"))  # noqa: S314
        assert 50 < height < 1000
        assert 200 < width < 1200


def test_hostile_names_stay_text(scorecards: Scorecards) -> None:
    data = scorecards.data | {"classes": [HOSTILE, *"123456789"]}
    hostile = scorecards.model_copy(update={"data": data})
    card = hostile.card(VARIANT).model_copy(update={"layer_sqnr_db": {HOSTILE: 40.0}})
    for picture in pictures(card, hostile).values():
        assert texts(picture, "script") == []
        assert b"<script" not in picture


def test_what_was_not_measured_has_no_picture(scorecards: Scorecards, make_card: Callable[..., Scorecard]) -> None:
    assert list(pictures(scorecards.card("litert_fp32"), scorecards)) == ["confusion.svg", "tradeoff.svg"]
    quality = scorecards.card(VARIANT).quality
    many = quality.model_copy(update={"per_class_recall": [1.0] * 101, "confusion": [[0] * 101] * 101})
    card = make_card(VARIANT, quality=many)
    alone = scorecards.model_copy(update={"scorecards": [card]})
    assert list(pictures(card, alone)) == ["layer_error.svg", "tradeoff.svg"]


def test_no_noise_is_said_in_words(scorecards: Scorecards, make_card: Callable[..., Scorecard]) -> None:
    card = make_card(VARIANT, layer_sqnr_db={"a": 200.0, "b": -3.0})
    assert texts(pictures(card, scorecards)["layer_error.svg"])[1:] == ["a", "no noise", "b", "-3.0"]


@given(st.integers(1, 100), st.integers(1, 30), st.data())
def test_every_image_has_its_cell_within_the_picture(classes: int, length: int, data: st.DataObject) -> None:
    cells = st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1), st.integers(1, 10**6))
    matrix = [[0] * classes for _ in range(classes)]
    for row, column, count in data.draw(st.lists(cells, min_size=1, max_size=20)):
        matrix[row][column] = count
    figure = confusion(matrix, ["x" * length] * classes)
    assert sum(cell.count for cell in figure.cells) == sum(map(sum, matrix))
    assert all(cell.x + figure.side <= figure.width and cell.y + figure.side <= figure.height for cell in figure.cells)
    assert all(0 < cell.strength <= 0.75 or cell.count < 1000 for cell in figure.cells)
    assert classes * figure.side <= max(AREA, 5 * classes)


@given(st.dictionaries(st.text(min_size=1), st.floats(-200, 200), min_size=1))
def test_no_bar_is_longer_than_its_room(values: dict[str, float]) -> None:
    figure = bars(values, 60)
    assert all(0 <= bar.width <= 900 - 260 - 70 for bar in figure.bars)
    assert [bar.value for bar in figure.bars] == list(values.values())
