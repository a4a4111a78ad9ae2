"""What people type may hold anything that can be read, and nothing that cannot be seen to break a line."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.project.cli import typed_text
from octavo.project.errors import ParamsError


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=typed_text.TURNS)))
def test_words_of_any_language_pass(text: str) -> None:
    assert typed_text.check(text, "The reason") == text
    assert len(text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one\u2028two", r"a line separator \(U\+2028\) at position 4"),
        ("\u2029", "a paragraph separator"),
        ("x\x85", r"a control character \(U\+0085\) at position 2"),
        ("a\nb", "a control character"),
        ("\x1b[31mred", "a control character"),
        ("paid \u202edrawer", r"a mark that changes the direction of text \(U\+202E\) at position 6"),
        ("\udcff", "bytes that are not UTF-8"),
    ],
)
def test_what_would_break_a_line_is_named(text: str, told: str) -> None:
    with pytest.raises(ParamsError, match=f"^The reason has {told}"):
        typed_text.check(text, "The reason")


@given(st.text())
def test_what_others_wrote_steers_no_terminal(text: str) -> None:
    shown = typed_text.plain(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@pytest.mark.slow
def test_an_argument_that_is_not_text_is_one_sentence() -> None:
    code = "import sys; sys.argv[0] = 'octavo'; from octavo.project.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "promote", b"caf\xe9"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"octavo: An argument has bytes that are not UTF-8")
    assert done.stderr.count(b"\n") == 1


ALIASES = ("champion", "previous", "anchor")


@pytest.mark.parametrize(
    "alias",
    [
        "champion",
        "Champion",
        "CHAMPION",
        " champion",
        "champion\n",
        "cham\u200bpion",
        "ch\u0430mpion",
        "\u0430n\u0441h\u043er",
        "\uff50revious",
        "\u1d18revious",
    ],
)
def test_look_alikes_are_recognized(alias: str) -> None:
    assert typed_text.like(alias, ALIASES)


@pytest.mark.parametrize(
    "alias",
    [
        "champions",
        "champ",
        "challenger",
        "production",
        "ancho",
        "\u0447\u0435\u043c\u043f\u0438\u043e\u043d\u044b",
        "\u51a0\u519b",
        "",
    ],
)
def test_other_names_are_free(alias: str) -> None:
    assert not typed_text.like(alias, ALIASES)
