"""What a user sees of the data: splits that do not leak, bytes that repeat, and one sentence for bad input."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.data import prepare
from octavo.data.input_encoding import encode
from octavo.data.partition import DISJOINT, partition
from octavo.data.sources.raw import Raw
from octavo.data.splits import Split, load_manifest, load_split
from octavo.project.errors import DataError
from octavo.project.params.data import Data

Arrays = dict[str, Any]
SPLITS = ("train", "calibration", "selection", "test")


def good_arrays() -> Arrays:
    """Three classes: 20 images each in train, 5 in test."""
    noise = np.random.default_rng(0).integers(0, 256, (75, 8, 8)).astype(np.uint8)
    return {
        "x_train": noise[:60],
        "y_train": np.repeat(np.arange(3, dtype=np.uint8), 20),
        "x_test": noise[60:],
        "y_test": np.repeat(np.arange(3, dtype=np.uint8), 5),
    }


def own(path: Path, **changes: Any) -> Data:
    return Data.model_validate({"source": "npz", "path": path, "calibration": 12, **changes})


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(split: Split) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "good.npz"
    np.savez(path, **good_arrays())
    return path


def test_written_splits_read_back_and_agree_with_the_manifest(archive: Path, tmp_path: Path) -> None:
    written = prepare.prepare(own(archive), tmp_path / "data")
    manifest = load_manifest(tmp_path / "data" / "manifest.json")
    splits = {name: load_split(tmp_path / "data" / name) for name in SPLITS}

    assert manifest == written
    assert (manifest.image_shape, manifest.dtype, manifest.classes) == ((8, 8), "uint8", ["0", "1", "2"])
    assert (manifest.splits["calibration"].n, manifest.splits["test"].n, manifest.own_test) == (12, 15, True)
    for name, split in splits.items():
        assert split.labels.dtype == np.int64
        assert Counter(map(str, split.labels.tolist())) == manifest.splits[name].counts
    assert sorted(rows(splits["train"]) + rows(splits["selection"])) == sorted(
        zip((image.tobytes() for image in good_arrays()["x_train"]), good_arrays()["y_train"].tolist(), strict=True)
    )
    assert set(rows(splits["calibration"])) <= set(rows(splits["train"]))
    assert splits["test"].images.tolist() == good_arrays()["x_test"].tolist()


def test_same_seed_gives_the_same_bytes_and_another_seed_another_digest(archive: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    digest = prepare.prepare(own(archive), first).digest
    prepare.prepare(own(archive), second)

    assert snapshot(first) == snapshot(second)
    assert prepare.prepare(own(archive, seed=1), second).digest != digest


def test_new_outputs_replace_the_old_and_leave_nothing_beside(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "data"
    prepare.prepare(own(archive, seed=1), target)
    prepare.prepare(own(archive), target)

    prepare.prepare(own(archive), tmp_path / "fresh")
    assert snapshot(target) == snapshot(tmp_path / "fresh")
    assert sorted(path.name for path in target.iterdir()) == sorted([*SPLITS, "manifest.json"])


def test_digits_are_split_about_as_asked_and_calibration_in_proportion(tmp_path: Path) -> None:
    manifest = prepare.prepare(Data(source="digits"), tmp_path)
    sizes = {name: record.n for name, record in manifest.splits.items()}
    train, calibration = (manifest.splits[name] for name in ("train", "calibration"))

    assert sum(sizes[name] for name in DISJOINT) == 1797
    assert (manifest.image_shape, manifest.own_test) == ((28, 28), False)
    for part, share in (("test", 0.2), ("selection", 0.8 * 0.1)):
        assert abs(sizes[part] - share * 1797) < 3 * np.sqrt(1797 * share * (1 - share))
    assert calibration.n == 500
    for name in manifest.classes:
        assert abs(calibration.counts[name] - train.counts[name] * 500 / train.n) < 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_taken_as_scaled(dtype: str, tmp_path: Path) -> None:
    scaled = {name: (array / 256).astype(dtype) if name[0] == "x" else array for name, array in good_arrays().items()}
    np.savez(tmp_path / "floats.npz", **scaled)

    assert prepare.prepare(own(tmp_path / "floats.npz"), tmp_path / "data").dtype == "float32"
    images = load_split(tmp_path / "data" / "test").images
    np.testing.assert_array_equal(encode(images), scaled["x_test"].astype(np.float32))


def test_calibration_can_be_all_of_train(archive: Path, tmp_path: Path) -> None:
    n = prepare.prepare(own(archive), tmp_path / "data").splits["train"].n
    manifest = prepare.prepare(own(archive, calibration=n), tmp_path / "data")

    assert manifest.splits["calibration"] == manifest.splits["train"]


def test_copies_within_a_split_are_counted(archive: Path, tmp_path: Path) -> None:
    arrays = good_arrays()
    arrays["x_test"][1] = arrays["x_test"][0]
    np.savez(archive, **arrays)

    assert prepare.prepare(own(archive), tmp_path / "data").duplicates.within == {"train": 0, "selection": 0, "test": 1}


def test_a_test_image_in_train_is_taken_out_of_train_or_refused_or_allowed(archive: Path, tmp_path: Path) -> None:
    np.savez(archive, **leaked())
    target = tmp_path / "data"
    allowed = prepare.prepare(own(archive, duplicates="allow"), target)
    in_train = "train" if allowed.duplicates.across["train/test"] else "selection"
    assert (allowed.duplicates.across[f"{in_train}/test"], allowed.duplicates.dropped) == (1, {})

    dropped = prepare.prepare(own(archive), target)
    assert dropped.duplicates.dropped == {in_train: 1}
    assert sum(dropped.duplicates.across.values()) == 0
    assert dropped.splits["test"] == allowed.splits["test"]
    assert dropped.splits[in_train].n == allowed.splits[in_train].n - 1
    assert leaked()["x_test"][3].tobytes() not in {image for image, _ in rows(load_split(target / in_train))}

    with pytest.raises(DataError, match=r"first is x_train\[7\], like x_test\[3\]\. Remove them .* drop_from_train"):
        prepare.prepare(own(archive, duplicates="refuse"), target)


def test_a_negative_zero_is_a_zero(archive: Path, tmp_path: Path) -> None:
    arrays = {name: array / 255 - 0.5 if name[0] == "x" else array for name, array in good_arrays().items()}
    arrays["x_train"][5], arrays["x_test"][9] = 0.0, -0.0
    np.savez(archive, **arrays)

    assert sum(prepare.prepare(own(archive), tmp_path / "data").duplicates.dropped.values()) == 1


def test_the_manifest_says_how_arrays_were_split_as_it_always_did(archive: Path, tmp_path: Path) -> None:
    """Splits of arrays are those of every release: a champion of an older one can be compared."""
    manifest = prepare.prepare(own(archive), tmp_path / "data")
    digits = prepare.prepare(Data(source="digits"), tmp_path / "data")

    assert (manifest.split_rule, manifest.test_share, digits.split_rule, digits.test_share) == (1, None, 1, 0.2)
    assert digits.digest == "bcea012dc88f4aed610655f183237b18e1670e7054552affc9db1aa322c3c1b7"


def test_a_published_benchmark_with_shared_images_is_counted_not_refused() -> None:
    arrays = good_arrays()
    arrays["x_test"][0] = arrays["x_train"][0]
    raw = Raw((arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]), published=True)
    train, test, classes = prepare.check(raw)
    data = Data(source="mnist", calibration=12)

    across = prepare.describe(partition(train, test, classes, data, published=True), classes, data).duplicates.across
    assert sum(across.values()) == across["train/test"] + across["selection/test"] == 1


def changed(**changes: Callable[[Any], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        arrays = good_arrays()
        np.savez(path, **(arrays | {name: change(arrays[name]) for name, change in changes.items()}))

    return write


def without_y_test(path: Path) -> None:
    np.savez(path, **{name: array for name, array in good_arrays().items() if name != "y_test"})


def cut_short(path: Path) -> None:
    np.savez(path, **good_arrays())
    path.write_bytes(path.read_bytes()[:-200])


def damaged_inside(path: Path) -> None:
    np.savez(path, **good_arrays())
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)


def leaked() -> Arrays:
    """The fourth test image is the eighth of train, too."""
    arrays = good_arrays()
    arrays["x_test"][3] = arrays["x_train"][7]
    return arrays


def with_value(value: float) -> Callable[[Any], Any]:
    return lambda x: np.where(np.arange(x.size).reshape(x.shape) == 5, value, x / 255)


BAD_INPUT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda path: path.unlink(missing_ok=True), "No file"),
    "not a zip": (lambda path: path.write_text("hello"), "not an npz"),
    "empty file": (lambda path: path.write_bytes(b""), "not an npz"),
    "cut short": (cut_short, "cut short"),
    "damaged inside": (damaged_inside, "cannot be read"),
    "missing key": (without_y_test, "has no y_test"),
    "pickled objects": (changed(y_train=lambda y: y.astype(object)), "no Python objects"),
    "wrong rank": (changed(x_train=lambda x: x.reshape(60, 64)), r"shape \(60, 64\)"),
    "no images": (changed(x_test=lambda x: x[:0], y_test=lambda y: y[:0]), "one or more"),
    "labels too few": (changed(y_train=lambda y: y[:-1]), r"shape \(59,\) for 60 images"),
    "one-hot labels": (changed(y_train=lambda y: np.eye(3, dtype=int)[y]), r"shape \(60, 3\)"),
    "int64 images": (changed(x_train=lambda x: x.astype(np.int64)), "are int64"),
    "NaN": (changed(x_train=with_value(np.nan)), "1 pixels of train are NaN"),
    "infinite": (changed(x_train=lambda x: x / 255, x_test=with_value(np.inf)), "1 pixels of test"),
    "infinite as float32": (changed(x_train=with_value(1e300)), "infinite in float32"),
    "whole labels as floats": (changed(y_train=lambda y: y.astype(float)), "are float64"),
    "boolean labels": (changed(y_train=lambda y: y > 0), "are bool"),
    "negative label": (changed(y_train=lambda y: y.astype(int) - 1), "from -1 to 1"),
    "huge label": (changed(y_train=lambda y: y * np.uint64(2**62)), "from 0 to"),
    "label unknown to train": (changed(y_test=lambda y: y + np.uint8(1)), r"of test run from 1 to 3.*0 to 2"),
    "class empty in train": (changed(y_train=lambda y: np.where(y == 1, 3, y)), "Class '1' has no image in train"),
    "class empty in test": (changed(y_test=lambda y: np.where(y == 1, 0, y)), "Class '1' has no image in test"),
    "single class": (changed(y_train=np.zeros_like), "All images are of class '0'"),
    "class too small": (changed(y_train=lambda y: np.where(np.arange(60) < 59, y % 2, 2)), "too few different images"),
    "copies only": (changed(x_train=np.zeros_like), "also in another class"),
    "other sizes in test": (changed(x_test=lambda x: x[:, :4]), "must be alike"),
}


@pytest.mark.parametrize(("write", "sentence"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_one_sentence_and_leaves_the_last_good_outputs(
    write: Callable[[Path], Any], sentence: str, archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "data"
    prepare.prepare(own(archive), target)
    before = snapshot(target)
    write(tmp_path / "bad.npz")

    with pytest.raises(DataError, match=sentence) as failure:
        prepare.prepare(own(tmp_path / "bad.npz"), target)

    assert "\n" not in str(failure.value)
    assert str(failure.value).endswith(".")
    assert snapshot(target) == before


def test_bad_input_writes_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prepare.prepare(own(tmp_path / "missing.npz"), tmp_path / "data")

    assert not list(tmp_path.iterdir())


def test_calibration_larger_than_train_names_the_limit(archive: Path, tmp_path: Path) -> None:
    n = prepare.prepare(own(archive), tmp_path / "data").splits["train"].n
    with pytest.raises(DataError, match=rf"asks for {n + 1} images, but train has {n}\. Set it to {n} or less"):
        prepare.prepare(own(archive, calibration=n + 1), tmp_path / "data")
