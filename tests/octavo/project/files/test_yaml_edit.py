"""Keys are set in a YAML file's text; every other character stays."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from octavo.project.errors import ParamsError
from octavo.project.files.yaml_edit import with_keys

KEYS: dict[str, str | int] = {"version": 3, "file": "a b.onnx"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a: {b: {u: x}} # kept\n", 'a: {b: {u: x, version: 3, file: "a b.onnx"}} # kept\n'),
        ("a: {b: {u: x ,}}", 'a: {b: {u: x, version: 3, file: "a b.onnx" ,}}'),
        ("a:\n  b: {u: x,\n      v: y} # kept\n",
         'a:\n  b: {u: x,\n      v: y, version: 3, file: "a b.onnx"} # kept\n'),
        ("a: {b: {file: old, u: x, version: 1}}\n", 'a: {b: {file: "a b.onnx", u: x, version: 3}}\n'),
        (
            "a:\n    b: # one\n        u: x   # two\n        #\n\nc: 1\n",
            'a:\n    b: # one\n        u: x   # two\n        version: 3\n        file: "a b.onnx"\n        #\n\nc: 1\n',
        ),
        ("a:\n  b:\n    u: 'x'", "a:\n  b:\n    u: 'x'\n    version: 3\n    file: \"a b.onnx\""),
        ("a:\r\n  b:\r\n    u: x # é\r\n",
         'a:\r\n  b:\r\n    u: x # é\r\n    version: 3\r\n    file: "a b.onnx"\r\n'),
        ("a:\n  b:\n    version: 1 # old\n    u: 😀\n",
         'a:\n  b:\n    version: 3 # old\n    u: 😀\n    file: "a b.onnx"\n'),
        ("a:\n  b:\n    u:\n", 'a:\n  b:\n    u:\n    version: 3\n    file: "a b.onnx"\n'),
        ("\ufeffa: {b: {u: x}}", '\ufeffa: {b: {u: x, version: 3, file: "a b.onnx"}}'),
    ],
)  # fmt: skip
def test_only_the_keys_change(old: str, new: str) -> None:
    assert with_keys(old, ("a", "b"), KEYS) == new
    assert with_keys(new, ("a", "b"), KEYS) == new


@pytest.mark.parametrize(
    "text",
    [
        "x: &x {u: x}\na: {b: *x}",
        "a: &y {b: {u: x}}\nc: *y",
        "a: {b: x}",
        "a: {b: {}}",
        "a: {c: {u: x}}",
        "a: [b]",
        "",
    ],
)
def test_what_cannot_be_changed_is_told_with_the_lines_to_write(text: str) -> None:
    said = r"a\.b cannot be changed as text\. Write it as a mapping of its own, with version: 3, file: \"a b\.onnx\""
    with pytest.raises(ParamsError, match=said):
        with_keys(text, ("a", "b"), KEYS)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(codec="ascii"), max_size=9),
        lambda inner: st.dictionaries(st.sampled_from("uvw"), inner) | st.lists(inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([True, False, None]),
)
def test_any_other_content_stays(other: object, flow: bool | None) -> None:
    text = yaml.safe_dump({"a": {"b": {"u": other, "version": 1}, "c": other}}, default_flow_style=flow, width=20)
    changed = with_keys(text, ("a", "b"), KEYS)
    assert yaml.safe_load(changed) == {"a": {"b": {"u": other} | KEYS, "c": other}}
