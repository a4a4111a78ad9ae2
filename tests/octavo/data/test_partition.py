"""Which split an image is in: the same whatever stands beside it, and never one that judges what it learned from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from octavo.data.partition import DISJOINT, partition
from octavo.data.sources import image_folder
from octavo.data.splits import Split
from octavo.project.errors import DataError
from octavo.project.params.data import Data


def dials(**changes: Any) -> Data:
    return Data.model_validate({"source": "npz", "path": "-", "calibration": 12, **changes})


def rows(split: Split) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    copies=st.lists(st.tuples(st.integers(0, 89), st.integers(0, 2)), max_size=40),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 9),
    share=st.sampled_from([0.1, 0.2, 0.5]),
)
def test_no_image_crosses_a_cut_and_none_is_lost(
    copies: list[tuple[int, int]], order: Any, seed: int, share: float
) -> None:
    pairs = [(image, image % 3) for image in range(90)] + copies
    order.shuffle(pairs)
    numbers, labels = np.array(pairs).T
    whole = Split(numbers.astype(np.uint8).reshape(-1, 1, 1), labels)

    splits = partition(whole, None, ["a", "b", "c"], dials(seed=seed, test=share, selection=share)).splits

    images = {name: {image for image, _ in rows(part)} for name, part in splits.items()}
    assert not images["train"] & images["test"]
    assert not images["selection"] & (images["train"] | images["test"])
    assert images["calibration"] <= images["train"]
    assert sorted(row for name in DISJOINT for row in rows(splits[name])) == sorted(rows(whole))


def different(numbers: list[int]) -> Split:
    """Images that differ where their numbers do, of three classes."""
    images = np.array(numbers, "<u2").view(np.uint8).reshape(-1, 1, 2)
    return Split(images, np.array(numbers) % 3)


def sides(numbers: list[int], **changes: Any) -> dict[bytes, str]:
    splits = partition(different(numbers), None, ["a", "b", "c"], dials(**changes)).splits
    return {image: name for name in DISJOINT for image, _ in rows(splits[name])}


@settings(max_examples=30, deadline=None)
@given(
    before=st.sets(st.integers(240, 479)),
    after=st.sets(st.integers(240, 479)),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 9),
)
def test_images_that_come_or_go_or_change_places_move_no_other(
    before: set[int], after: set[int], order: Any, seed: int
) -> None:
    """With 80 images of each class always there, no class is ever missing in a part."""
    numbers = [*range(240), *after]
    order.shuffle(numbers)
    then, now = sides([*range(240), *before], seed=seed), sides(numbers, seed=seed)

    assert {image: now[image] for image in then.keys() & now} == {image: then[image] for image in then.keys() & now}


def test_another_seed_gives_other_splits() -> None:
    one, other = (sides(list(range(300)), seed=seed) for seed in (0, 1))
    assert {image for image in one if one[image] == "test"} != {image for image in other if other[image] == "test"}


def test_a_class_of_three_images_has_one_in_each_part_and_one_of_two_is_refused() -> None:
    few = [number for number in range(300) if number % 3 or number < 9]
    for seed in range(20):
        parts = sides(few, seed=seed)
        assert sorted(parts[image] for image, label in rows(different(few)) if label == 0) == sorted(DISJOINT)
    with pytest.raises(
        DataError, match="Class 'a' has too few different images to be split: 2, and train, selection, test"
    ):
        sides([number for number in few if number != 6])


def test_an_image_under_two_labels_is_told_as_that(tmp_path: Path) -> None:
    folder(tmp_path)
    for copy in range(5):
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / f"copy{copy}.png").write_bytes((tmp_path / "b" / f"{3 * copy + 1}.png").read_bytes())
    raw = image_folder.read(tmp_path)
    with pytest.raises(DataError) as said:
        partition(Split(*raw.train), None, list("abcd"), dials(), raw.files)
    assert str(said.value) == (
        "Class 'd' has 0 different images of its own, and train, selection, test need one each: 5 of its images are "
        "also in another class, first d/copy0.png, which is b/1.png of class 'b'. Remove each from one of the two."
    )


def folder(root: Path, n: int = 90) -> Path:
    """Grey images of one value each, 0 to `n`, of three classes."""
    for value in range(n):
        save(root / "abc"[value % 3] / f"{value}.png", value)
    return root


def save(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (4, 4), **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255)).save(path, **options)


def places(root: Path, size: tuple[int, int] | None = None, n: int = 90) -> dict[int, str]:
    """The split of each image that `folder` made, as a project with these files would have it."""
    raw = image_folder.read(root, size)
    assert raw.classes
    whole = Split(*raw.train)
    splits = partition(whole, None, raw.classes, dials(duplicates="allow"), raw.files).splits
    grey = {name: splits[name].images.reshape(len(splits[name].labels), -1) for name in DISJOINT}
    return {
        int(image[0]): name
        for name in DISJOINT
        for image in grey[name]
        if len(set(image.tolist())) == 1 and image[0] < n
    }


@pytest.fixture(scope="module")
def ninety(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    root = folder(tmp_path_factory.mktemp("ninety"))
    return root, places(root)


@settings(max_examples=15, deadline=None)
@given(
    colours=st.sets(st.integers(100, 255), max_size=4),
    greys=st.sets(st.integers(100, 255), max_size=4),
    size=st.sampled_from([None, (4, 4), (1, 1), (9, 5)]),
)
def test_a_file_keeps_its_split_whatever_stands_beside_it_and_whatever_size_is_asked_for(
    colours: set[int], greys: set[int], size: tuple[int, int] | None, ninety: tuple[Path, dict[int, str]]
) -> None:
    root, before = ninety
    added = [root / "a" / f"colour{value}.png" for value in colours] + [
        root / "b" / f"grey{value}.bmp" for value in greys
    ]
    try:
        for path in added:
            save(path, int(path.stem.strip("colurgey")), "RGB" if "colour" in path.name else "L")
        after = places(root, size)
    finally:
        for path in added:
            path.unlink()

    assert after == before
    assert len(before) == 90
    assert set(before.values()) == set(DISJOINT)


def test_copies_of_a_file_are_in_one_split_under_any_name_and_in_any_class(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for value in range(30):
        save(root / "abc"[(value + value % 2) % 3] / f"again{value}.png", value)
    raw = image_folder.read(root)
    splits = partition(Split(*raw.train), None, ["a", "b", "c"], dials(), raw.files).splits

    images = {name: {image for image, _ in rows(splits[name])} for name in DISJOINT}
    assert sum(len(splits[name].labels) for name in DISJOINT) == 120
    assert sum(map(len, images.values())) == 90


def saved_twice(root: Path) -> None:
    """Each image also as a BMP: other bytes, equal pixels."""
    for value in range(90):
        save(folder(root, 0) / "abc"[value % 3] / f"{value}.bmp", value)
    folder(root)


def test_images_saved_twice_are_dropped_where_another_split_judges_them(tmp_path: Path) -> None:
    saved_twice(tmp_path)
    raw = image_folder.read(tmp_path)
    whole = Split(*raw.train)
    kept, dropped = (
        partition(whole, None, ["a", "b", "c"], dials(duplicates=handling), raw.files)
        for handling in ("allow", "drop_from_train")
    )

    def values(splits: dict[str, Split], names: Sequence[str]) -> list[set[bytes]]:
        return [{image for image, _ in rows(splits[name])} for name in names]

    train, selection, test = values(kept.splits, DISJOINT)
    assert train & selection
    assert train & test
    assert kept.dropped == {}
    assert values(dropped.splits, DISJOINT) == [train - selection - test, selection - test, test]
    for name in ("train", "selection"):
        assert dropped.dropped[name] == len(kept.splits[name].labels) - len(dropped.splits[name].labels) > 0
    assert partition(whole, None, ["a", "b", "c"], dials(), raw.files).dropped == dropped.dropped


def test_images_saved_twice_are_refused_by_their_names(tmp_path: Path) -> None:
    saved_twice(tmp_path)
    raw = image_folder.read(tmp_path)

    with pytest.raises(DataError, match=r"images of train have the same pixels as images of selection or test") as said:
        partition(Split(*raw.train), None, ["a", "b", "c"], dials(duplicates="refuse"), raw.files)

    one, other = str(said.value).split("the first is ")[1].split(". ")[0].split(", like ")
    assert Path(one).stem == Path(other).stem
    assert (tmp_path / one).is_file()
    assert (tmp_path / other).is_file()


def test_a_class_of_copies_alone_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    for k in range(30):
        save(tmp_path / "d" / f"{k}.bmp", 200)
        save(tmp_path / "d" / f"{k}.png", 200, compress_level=k % 10, pnginfo=None)
        (tmp_path / "d" / f"{k}.png").write_bytes((tmp_path / "d" / f"{k}.png").read_bytes() + bytes([k]))
    raw = image_folder.read(tmp_path)

    with pytest.raises(DataError, match=r"All images of class 'd' in (train|selection) have the same pixels"):
        partition(Split(*raw.train), None, list("abcd"), dials(), raw.files)
