"""Tampering with files: records and grounds of the log, files of versions, this machine's copy, the project's own."""

import json
import operator
import shutil
from collections.abc import Callable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attacks.kind import Change, Kind, kinds_of
from benchmarks.attacks.victim import MODEL, VARIANT, Victim
from octavo.backends import model_files
from octavo.project import paths
from octavo.promotion import audit_record
from octavo.reporting.documents import signature
from octavo_mlflow.registry import aliases
from octavo_mlflow.registry.standing import DONE, HEAD

CODE = 2
"""Of the files of code beside a model so many are changed, one by one."""
SOME = ("a bit flipped", "deleted")
"""What is done to each file of versions that are not the champion."""


def kinds(victim: Victim) -> Iterator[Kind]:
    """All of them; what files a version has, the victim tells."""
    for group, found in {
        "records in MLflow": _records(),
        "records, forged": _forged(),
        "grounds in MLflow": _grounds(),
        "this machine's copy of the log": _copy(),
        "data and reports of the project": _project(),
    }.items():
        yield from kinds_of(group, "files", dict(found))
    for version, what in {2: "previous and anchor", 3: "the champion", 4: "the next one"}.items():
        yield from kinds_of(f"files of {what}", "files", dict(_folder(victim, version)))


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _linked(path: Path) -> None:
    """The same content, behind a link that its owner can turn."""
    aside = Path("aside")
    path.rename(aside)
    path.symlink_to(aside.absolute())


def _linked_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


CHANGED: dict[str, Callable[[Path], object]] = {
    "a bit flipped": _flipped,
    "a byte added": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "a link to the same content": _linked,
    "a link to another file": _linked_elsewhere,
}


def _records() -> Iterator[tuple[str, Change]]:
    for place in range(4):
        for name in CHANGED if place in (1, 3) else SOME:
            yield f"record {place + 1}: {name}", partial(_at, "records", place, CHANGED[name])
    last = partial(_at, "records", 3)
    yield "record 4: not UTF-8", partial(last, lambda path: path.write_bytes(b"\xff\xfe"))
    yield "record 4: nested 100,000 deep", partial(last, lambda path: path.write_bytes(b"[" * 100_000))
    yield "record 4: another who", partial(last, partial(_rewritten, who="nobody"))
    yield "record 4: another version", partial(last, partial(_rewritten, version="1"))
    yield "record 4: a name twice", partial(last, lambda path: path.write_text(path.read_text()[:-1] + ',"who":"x"}'))
    yield "records 2 and 3 swapped", _swapped
    yield "record 4 doubled under the next number", partial(last, _doubled)
    yield "record 4 under another name", partial(last, lambda path: path.rename(path.with_name("000004.json")))
    yield "all deleted", lambda victim: shutil.rmtree(victim.records()[0].parent)
    yield "a folder in place of record 4", partial(last, _folder_instead)


def _at(kind: str, place: int, change: Callable[[Path], object], victim: Victim) -> None:
    change(victim.records(kind)[place])


def _rewritten(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _swapped(victim: Victim) -> None:
    _, two, three, _ = victim.records()
    one, other = two.read_bytes(), three.read_bytes()
    two.write_bytes(other)
    three.write_bytes(one)


def _doubled(path: Path) -> None:
    shutil.copy(path, path.with_name(path.name.replace("000004", "000005")))


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _chain(victim: Victim) -> list[audit_record.Move]:
    return [audit_record.parse(path.read_text(), "") for path in victim.records()]


def _forged() -> Iterator[tuple[str, Change]]:
    yield "a record appended, and nothing names it", partial(_appended, named=False, done=False)
    yield "a record appended and named", partial(_appended, named=True, done=False)
    yield "a record appended, named, and its move made", partial(_appended, named=True, done=True)
    yield "the last record dropped, and the head moved back", partial(_dropped, done=False)
    yield "the last record dropped, the head and the number moved back", partial(_dropped, done=True)
    yield "the last record dropped, and the aliases moved back too", partial(_dropped, done=True, aliases_too=True)
    yield "a reason rewritten, and all hashed anew", _hashed_anew


def _written(victim: Victim, chain: list[audit_record.Move]) -> None:
    folder = victim.records()[0].parent
    for move in chain:
        (folder / f"{move.sequence:06}-{move.hash}.json").write_text(move.line())


def _appended(victim: Victim, *, named: bool, done: bool) -> None:
    last = _chain(victim)[-1]
    after = {"champion": "1", "previous": "3", "anchor": "2"}
    move = last.model_copy(
        update={"sequence": 5, "parent": last.hash, "before": last.after, "after": after, "version": "1"}
    )
    _written(victim, [move])
    client = victim.client()
    if named:
        client.set_registered_model_tag(MODEL, HEAD, move.name)
    if done:
        for alias, version in after.items():
            client.set_registered_model_alias(MODEL, alias, version)
        client.set_registered_model_tag(MODEL, DONE, "5")
        client.set_model_version_tag(MODEL, "1", aliases.RECORD, move.name)


def _dropped(victim: Victim, *, done: bool, aliases_too: bool = False) -> None:
    *_, before, last = _chain(victim)
    victim.records()[-1].unlink()
    client = victim.client()
    client.set_registered_model_tag(MODEL, HEAD, before.name)
    if done:
        client.set_registered_model_tag(MODEL, DONE, "3")
    if aliases_too:
        for alias, version in before.after.items():
            client.set_registered_model_alias(MODEL, alias, version)
    assert last.sequence == 4


def _hashed_anew(victim: Victim) -> None:
    """As somebody would who knows how; where every machine's copy is forged alike, nobody could tell."""
    chain = _chain(victim)
    chain[0] = chain[0].model_copy(update={"who": "nobody"})
    for place in range(1, 4):
        chain[place] = chain[place].model_copy(update={"parent": chain[place - 1].hash})
    _written(victim, chain)
    victim.client().set_registered_model_tag(MODEL, HEAD, chain[-1].name)
    for move in chain:
        victim.client().set_model_version_tag(MODEL, move.version, aliases.RECORD, move.name)


def _grounds() -> Iterator[tuple[str, Change]]:
    for place, record in enumerate((1, 2, 4)):
        for name, change in CHANGED.items():
            yield f"grounds of record {record}: {name}", partial(_at, "grounds", place, change)
        yield (
            f"grounds of record {record}: another figure",
            partial(_at, "grounds", place, partial(_rewritten, same_answers=0.5)),
        )
    yield "grounds of records 1 and 4 swapped", _grounds_swapped
    yield "all deleted", lambda victim: shutil.rmtree(victim.records("grounds")[0].parent)


def _grounds_swapped(victim: Victim) -> None:
    first, _, last = victim.records("grounds")
    one, other = first.read_bytes(), last.read_bytes()
    first.write_bytes(other)
    last.write_bytes(one)


def _copy() -> Iterator[tuple[str, Change]]:
    for name, change in CHANGED.items():
        yield name, partial(_of_copy, change)

    def lines(change: Callable[[list[str]], list[str]]) -> Change:
        def apply(victim: Victim) -> None:
            found = victim.copy().read_text().splitlines()
            victim.copy().write_text("".join(f"{line}\n" for line in change(found)))

        return apply

    yield "the last line dropped", lines(lambda found: found[:-1])
    yield "a line in the middle dropped", lines(lambda found: [*found[:1], *found[2:]])
    yield "two lines swapped", lines(lambda found: [found[0], found[2], found[1], found[3]])
    yield "a line doubled", lines(lambda found: [*found, found[-1]])
    yield "a word of a record", lines(lambda found: [line.replace(VARIANT, "onnx_fp32") for line in found])
    yield "not UTF-8", lambda victim: victim.copy().write_bytes(b"\xff")
    yield "a folder instead", lambda victim: _folder_instead(victim.copy())
    yield "of another moment", lambda victim: victim.copy().rename(victim.copy().with_name(f"{MODEL}.1.jsonl"))
    yield "a forged line appended", _line_appended


def _of_copy(change: Callable[[Path], object], victim: Victim) -> None:
    change(victim.copy())


def _line_appended(victim: Victim) -> None:
    last = _chain(victim)[-1]
    move = last.model_copy(update={"sequence": 5, "parent": last.hash, "before": last.after})
    with victim.copy().open("a") as file:
        file.write(move.line() + "\n")


def _project() -> Iterator[tuple[str, Change]]:
    """What a verdict rests on, and lies in the project: labels, images, names, figures."""
    test = paths.split("test")
    yield "labels of the test split permuted", lambda _: _array(test / "labels.npy", lambda found: found[::-1])
    yield (
        "images of the test split changed",
        lambda _: _array(test / "images.npy", lambda found: found * np.float32(0.9)),
    )
    yield "half of the test split", lambda _: _half(test)
    yield "class names in the manifest", lambda _: _replaced(paths.MANIFEST, '"0"', '"zero"')
    yield "a digest in the manifest", lambda _: _rewritten(paths.MANIFEST, digest="0" * 64)
    yield "an accuracy in the scorecards", lambda _: _figure("quality", "top1", 0.999)
    yield "a latency in the scorecards", lambda _: _figure("latency", "batches", "1", "p50_us", 0.5)
    yield "the digest of the data in the scorecards", _other_data
    yield "the decision", lambda _: _replaced(paths.DECISION, '"pass"', '"fail"')
    yield "logits that were evaluated", lambda _: _array(paths.logits(VARIANT), lambda found: -found)
    yield "logits of the baseline", lambda _: _array(paths.logits("onnx_fp32"), lambda found: -found)
    yield "the model file in the project", lambda _: _flipped(model_files.path_of(VARIANT))


def _array(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, np.ascontiguousarray(change(np.load(path))))


def _half(test: Path) -> None:
    for name in ("images", "labels"):
        _array(test / f"{name}.npy", lambda found: found[::2])


def _figure(*where: Any) -> None:
    """Let the variant's scorecard say something else: the keys that lead to a figure, then the figure."""
    *keys, last, value = where
    content = json.loads(paths.SCORECARDS.read_text())
    (card,) = [card for card in content["scorecards"] if card["variant"] == VARIANT]
    place = reduce(operator.getitem, keys, card)
    assert place[last] != value, f"{last} of {VARIANT} is {value} already"
    place[last] = value
    paths.SCORECARDS.write_text(json.dumps(content))


def _other_data(_: Victim) -> None:
    data = json.loads(paths.SCORECARDS.read_text())["data"]
    _rewritten(paths.SCORECARDS, data=data | {"digest": "0" * 64})


def _replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old}"
    path.write_text(text.replace(old, new))


def _folder(victim: Victim, version: int) -> Iterator[tuple[str, Change]]:
    folder = victim.stored(version)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    code = [name for name in names if name.startswith("code/")]
    for name in [each for each in names if each not in code[CODE:]]:
        for what in CHANGED if version == 3 else SOME:
            yield f"{name}: {what}", partial(_in_folder, version, name, CHANGED[what])
    yield "a file added", partial(_in_folder, version, "more.txt", lambda path: path.write_text("more"))
    yield "a module added to the code", partial(_in_folder, version, "code/os.py", lambda path: path.write_text("1"))
    yield "a hidden file added", partial(_in_folder, version, "code/.pth", lambda path: path.write_text("import os"))
    yield "an empty file added", partial(_in_folder, version, "empty", lambda path: path.write_text(""))
    yield (
        "class names in the scorecard",
        partial(_in_folder, version, "scorecard.json", lambda path: _replaced(path, '"0"', '"zero"')),
    )
    yield "the folder of another version", partial(_exchanged, version)
    yield "a signature by another key", partial(_foreign_signature, version)
    yield "class names in the run's scorecard", partial(_in_run, version)


def _in_folder(version: int, name: str, change: Callable[[Path], object], victim: Victim) -> None:
    change(victim.stored(version) / name)


def _exchanged(version: int, victim: Victim) -> None:
    mine, other = victim.stored(version), victim.stored(5 - version if version < 4 else 2)
    shutil.rmtree(mine)
    shutil.copytree(other, mine)


def _foreign_signature(version: int, victim: Victim) -> None:
    signature.sign(victim.stored(version), Path("foreign.pem"), None)


def _in_run(version: int, victim: Victim) -> None:
    ((run,),) = victim.sql("SELECT run_id FROM model_versions WHERE version = ?", version)
    (found,) = Path("mlruns").rglob(f"{run}/artifacts/scorecard.json")
    _replaced(found, '"0"', '"zero"')
