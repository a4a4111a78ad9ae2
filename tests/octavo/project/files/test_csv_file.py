"""Tables are written as pandas writes them, so that files made with it keep their bytes."""

import io

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from octavo.project.files import csv_file

CELLS = st.sampled_from([
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.floats(allow_nan=False, width=32) | st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
])  # fmt: skip


@given(st.data(), st.lists(CELLS, min_size=1, max_size=4), st.integers(1, 5))
def test_a_table_is_what_pandas_writes(
    data: st.DataObject, kinds: list[st.SearchStrategy[object]], length: int
) -> None:
    table = {f"column {n}": data.draw(st.lists(kind, min_size=length, max_size=length)) for n, kind in enumerate(kinds)}
    expected = pd.DataFrame(table).to_csv(float_format="%.6f", lineterminator="\n", index=False)
    assert csv_file.text(list(table), zip(*table.values(), strict=True)) == expected


def test_what_is_unknown_is_empty_and_what_needs_it_is_quoted() -> None:
    written = csv_file.text(("a", "b"), [(None, 'say "x, y"'), (0.5, "z")])
    assert written == 'a,b\n,"say ""x, y"""\n0.500000,z\n'
    assert pd.read_csv(io.StringIO(written))["a"].isna().tolist() == [True, False]
