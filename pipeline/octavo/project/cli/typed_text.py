"""Check text that a user types: refuse characters that break a line, a log or a terminal, and detect look-alikes."""

import unicodedata
from collections.abc import Sequence

from octavo.project.errors import ParamsError

KINDS = {
    "Cc": "a control character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cs": "bytes that are not UTF-8",
}
"""Unicode categories of refused characters. Source: Unicode Standard, chapter 4.5."""
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of the following text, so that a line seems to say something else. Source:
Unicode Technical Report 36, chapter 2.4."""
LONGEST = 5_000
"""Number of characters. MLflow refuses longer tags, and would do so only after the aliases have moved."""


def plain(text: str) -> str:
    """Make foreign text safe for a terminal: invisible and control characters become escape sequences."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def check(text: str, what: str) -> str:
    """Return `text` unchanged if it has no refused character and is not too long.

    Args:
        text: as the user typed it.
        what: start of the message, for example "An argument".

    Raises:
        ParamsError: the text has a refused character (the message says which one and where), or it is too long.
    """
    if len(text) > LONGEST:
        raise ParamsError(f"{what} has {len(text):,} characters, allowed are {LONGEST:,}. Use a shorter text.")
    for place, character in enumerate(text, 1):
        kind = "a mark that changes the direction of text" if character in TURNS else None
        if kind := kind or KINDS.get(unicodedata.category(character)):
            raise ParamsError(
                f"{what} has {kind} (U+{ord(character):04X}) at position {place}. Type it again without it: text "
                "copied from a chat or a web page often contains invisible characters."
            )
    return text


def like(alias: str, names: Sequence[str]) -> bool:
    """Whether a person can mistake the alias for one of these names.

    Case, white space and invisible characters are ignored. A letter that is not ASCII counts as equal to any letter,
    because many scripts have letters that look like Latin ones. A word without any ASCII letter is never a look-alike.

    Args:
        alias: as a person typed it.
        names: in lowercase ASCII.
    """
    letters = unicodedata.normalize("NFKD", alias).casefold()
    seen = [letter for letter in letters if unicodedata.category(letter)[0] not in "CZM"]
    return any(
        len(seen) == len(name)
        and any(letter.isascii() for letter in seen)
        and all(letter == known or not letter.isascii() for letter, known in zip(seen, name, strict=True))
        for name in names
    )
