"""Names that people could take for others: another case, white space, or letters of another script."""

import unicodedata
from collections.abc import Sequence


def like(alias: str, names: Sequence[str]) -> bool:
    """Whether people could take the alias for one of these.

    So they can if it is one once case, white space and characters that are not seen are left out, and every letter that
    is not ASCII could be any: scripts have many that look like a Latin one. A word of one other script looks like none.
    """
    letters = unicodedata.normalize("NFKD", alias).casefold()
    seen = [letter for letter in letters if unicodedata.category(letter)[0] not in "CZM"]
    return any(
        len(seen) == len(name)
        and any(letter.isascii() for letter in seen)
        and all(letter == known or not letter.isascii() for letter, known in zip(seen, name, strict=True))
        for name in names
    )
