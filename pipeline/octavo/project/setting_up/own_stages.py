"""A user's own parts of `dvc.yaml`, kept as text with their comments when Octavo's parts are renewed.

Own is a stage that runs no module of `octavo_stages` (unless it is one of Octavo's with another command), a section
that Octavo's file lacks, and an entry of the lists `vars` and `plots` that Octavo's lists lack.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from octavo.project.errors import ParamsError
from octavo.project.setting_up import shipped

STAGES, LISTS = "stages", ("vars", "plots")
RUNS = "octavo_stages."
ENDS = "\n"
BY_HAND = (
    f"Nothing was written. Move what is yours out of {shipped.PIPELINE} into one in a folder of its own, then run "
    "octavo upgrade again."
)


def is_ours(stage: Any) -> bool:
    """Whether a stage, as it stands in `dvc.yaml`, runs a module of Octavo."""
    return RUNS in str(_inside(stage).get("cmd", ""))


def changed(theirs: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Octavo's stages whose command the user replaced: name -> that command.

    They have the name of one of Octavo's stages and write the same outputs, which two stages never can.

    Args:
        theirs: the present content of `dvc.yaml`.
        new: the content of Octavo's file.
    """
    ours = new[STAGES]
    return {
        name: str(_inside(stage).get("cmd", ""))
        for name, stage in (theirs.get(STAGES) or {}).items()
        if name in ours and not is_ours(stage) and _written(stage) & _written(ours[name])
    }


def _inside(stage: Any) -> dict[str, Any]:
    """A stage, or what a stage with `foreach` does for each."""
    inner = stage.get("do", stage) if isinstance(stage, dict) else {}
    return inner if isinstance(inner, dict) else {}


def _written(stage: Any) -> set[str]:
    """The outputs of a stage."""
    lists = (_inside(stage).get(section) for section in ("outs", "metrics", "plots"))
    return {_key(each) for found in lists if isinstance(found, list) for each in found}


def names(theirs: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What is the user's own in `theirs`, as words for a message: stages, sections, entries of lists.

    Args:
        theirs: the present content of `dvc.yaml`.
        new: the content of Octavo's file.
    """
    return [
        *(f"stage {name}" for name in _own_stages(theirs, new)),
        *(f"section {name}" for name in theirs if name not in new),
        *(f"{section} {_key(each)}" for section in LISTS for each in _own_entries(theirs, new, section)),
    ]


def merged(old: str, new: str) -> str:
    """Octavo's new file with the user's own parts of the old one.

    Args:
        old: text of the present `dvc.yaml`.
        new: text of Octavo's file.

    Raises:
        ParamsError: one of the user's stages has the name of a new one of Octavo; or the own parts cannot be moved as
            text, for example because of anchors.
    """
    theirs, ours = yaml.safe_load(old), yaml.safe_load(new)
    if taken := set(_own_stages(theirs, ours)) & set(ours[STAGES]):
        raise ParamsError(
            f"{shipped.PIPELINE} has a stage '{min(taken)}' of your own, and Octavo's new version has that name. "
            "Nothing was written. Rename yours, then run octavo upgrade again."
        )
    text = new
    blocks = _blocks(old)
    for section, keys in (
        *((section, [_key(each) for each in _own_entries(theirs, ours, section)]) for section in LISTS),
        (STAGES, _own_stages(theirs, ours)),
    ):
        text = _with(text, section, [blocks[section, key] for key in keys])
    for section in theirs:
        if section not in ours:
            text += f"\n{blocks[section, ''].strip(ENDS)}\n"
    _check(text, theirs, ours)
    return text


def _own_stages(theirs: dict[str, Any], new: dict[str, Any]) -> list[str]:
    replaced = changed(theirs, new)
    return [name for name, stage in (theirs.get(STAGES) or {}).items() if not is_ours(stage) and name not in replaced]


def _own_entries(theirs: dict[str, Any], new: dict[str, Any], section: str) -> list[Any]:
    known = entries(new, section)
    return [each for each in theirs.get(section) or () if _key(each) not in known]


def entries(pipeline: dict[str, Any], section: str) -> set[str]:
    """What the entries of a list in `dvc.yaml` are known by."""
    return {_key(each) for each in pipeline.get(section) or ()}


def _key(entry: Any) -> str:
    """What an entry of a list is known by: the text, or the first key of a mapping."""
    return str(next(iter(entry), "")) if isinstance(entry, dict) else str(entry)


def _blocks(text: str) -> dict[tuple[str, str], str]:
    """(section, name) -> lines of one stage or entry of a list, with the comments before it; (section, "") -> all."""
    lines, found = text.splitlines(keepends=True), dict[tuple[str, str], str]()
    top = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(top, yaml.MappingNode)
    for (name, start), end in _spans([(key.value, key.start_mark.line) for key, _ in top.value], len(lines), lines):
        found[name, ""] = "".join(lines[start:end])
        node = next(value for key, value in top.value if key.value == name)
        if name == STAGES or name in LISTS:
            for (inner, begin), stop in _spans(list(_inner(node)), end, lines):
                found[name, inner] = "".join(lines[begin:stop])
    return found


def _inner(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Name and first line of every stage of a mapping, or entry of a list."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        yield from ((key.value, key.start_mark.line) for key, _ in node.value)
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style:
        for each in node.value:
            yield (each.value[0][0].value if isinstance(each, yaml.MappingNode) else each.value), each.start_mark.line
    else:
        raise ParamsError(f"{shipped.PIPELINE} has a section in braces or brackets, which cannot be merged. {BY_HAND}")


def _spans(starts: list[tuple[str, int]], end: int, lines: list[str]) -> Iterator[tuple[tuple[str, int], int]]:
    """Each name with its first line, moved up to the comments before it, and the line after its last."""
    moved = [(name, _comments(start, lines)) for name, start in starts]
    yield from zip(moved, [*(start for _, start in moved[1:]), end], strict=True)


def _comments(start: int, lines: list[str]) -> int:
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _with(text: str, section: str, blocks: list[str]) -> str:
    """The text with blocks at the end of a section, which is added if it is missing."""
    if not blocks:
        return text
    gap = "\n" if section == STAGES else ""
    added = "".join(f"{gap}{block.strip(ENDS)}\n" for block in blocks)
    whole = _blocks(text).get((section, ""))
    if whole is None:
        return f"{text}\n{section}:\n{added}"
    bare = whole.rstrip(ENDS)
    return text.replace(whole, f"{bare}\n{added.rstrip(ENDS)}{whole.removeprefix(bare)}", 1)


def _check(text: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Compare the merged text with what it must hold: all of Octavo's file, and all that is the user's own.

    Raises:
        ParamsError: it does not.
    """
    wanted = {section: theirs[section] for section in theirs if section not in ours} | ours
    wanted[STAGES] = ours[STAGES] | {name: theirs[STAGES][name] for name in _own_stages(theirs, ours)}
    for section in LISTS:
        if section in theirs or section in ours:
            wanted[section] = [*(ours.get(section) or ()), *_own_entries(theirs, ours, section)]
    try:
        same = yaml.safe_load(text) == wanted
    except yaml.YAMLError:
        same = False
    if not same:
        raise ParamsError(f"Your own parts of {shipped.PIPELINE} cannot be merged as text. {BY_HAND}")
