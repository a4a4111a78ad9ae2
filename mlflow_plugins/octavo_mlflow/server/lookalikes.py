"""Find names that people can mistake for others: different case, white space, or letters of another script."""

import unicodedata
from collections.abc import Sequence


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
