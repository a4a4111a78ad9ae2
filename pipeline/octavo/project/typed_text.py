"""Words that people type: what would break a line, a log or a terminal in two is refused, and look-alikes are told."""

import unicodedata
from collections.abc import Sequence

from octavo.project.errors import ParamsError

KINDS = {
    "Cc": "a control character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cs": "bytes that are not UTF-8",
}
"""Unicode's categories (Unicode Standard, chapter 4.5) of characters that are refused."""
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of what follows: a line then reads as another than it is. Source: Unicode
Technical Report 36, chapter 2.4."""
LONGEST = 5_000
"""Characters. MLflow refuses tags that are too long, and would do so after the aliases have moved."""


def plain(text: str) -> str:
    """What somebody else wrote, for a terminal: what cannot be seen, or steers it, is written as its escape."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def check(text: str, what: str) -> str:
    """`text`, where it has none of these characters, and is not too long.

    Args:
        text: as it was typed.
        what: what it is, as the sentence begins with it.

    Raises:
        ParamsError: it has one, and the message says which, and where; or it is too long.
    """
    if len(text) > LONGEST:
        raise ParamsError(f"{what} has {len(text):,} characters, allowed are {LONGEST:,}. Say it in fewer words.")
    for place, character in enumerate(text, 1):
        kind = "a mark that turns the direction of text" if character in TURNS else None
        if kind := kind or KINDS.get(unicodedata.category(character)):
            raise ParamsError(
                f"{what} has {kind} (U+{ord(character):04X}) at place {place}. Type it again without: text that was "
                "copied from a chat or a web page often has some that cannot be seen."
            )
    return text


def like(alias: str, names: Sequence[str]) -> bool:
    """Whether people can mistake the alias for one of these names.

    Case, white space and invisible characters are ignored. Each letter that is not ASCII may stand for any letter,
    because
    many scripts have letters that look like Latin ones. A word without any ASCII letter is not mistaken for a name.
    """
    letters = unicodedata.normalize("NFKD", alias).casefold()
    seen = [letter for letter in letters if unicodedata.category(letter)[0] not in "CZM"]
    return any(
        len(seen) == len(name)
        and any(letter.isascii() for letter in seen)
        and all(letter == known or not letter.isascii() for letter, known in zip(seen, name, strict=True))
        for name in names
    )
