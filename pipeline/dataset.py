"""The making of the data set: checked, split, digested and written as plain arrays."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import membership, sources
from pipeline.errors import DataError
from pipeline.params import Data
from pipeline.pixel_statistics import measure, pixel_range
from pipeline.sources.raw import Raw, sha256
from pipeline.splits import Duplicates, Manifest, Split, SplitRecord

DISJOINT = ("train", "selection", "test")
"""Calibration is a part of train."""


def prepare(data: Data, target: Path) -> Manifest:
    """Read the source, check and split it, and replace `target`'s splits and `manifest.json` by it.

    Raises:
        DataError: the data cannot be used; nothing has been written then.
        ServiceUnavailable: the source has to be downloaded and cannot be.
    """
    raw = sources.load(data)
    train, test, classes = check(raw)
    splits = split(train, test, classes, data)
    manifest = describe(splits, classes, data, own_test=test is not None)
    _replace(target, splits, manifest)
    return manifest


def check(raw: Raw) -> tuple[Split, Split | None, list[str]]:
    """The source's arrays in the types of a `Split`, and its class names.

    Raises:
        DataError: wrong rank, lengths, dtype or values, an empty class, or a user's test images that stand in train.
    """
    train = _check_arrays("train", *raw.train, n_classes=len(raw.classes) if raw.classes else None)
    classes = list(raw.classes or map(str, range(train.labels.max() + 1)))
    if len(classes) < 2:
        raise DataError(f"All images are of class '{classes[0]}'. A classifier needs two classes or more: add another.")
    _require_every_class("train", train.labels, classes, "Add some, or renumber the labels without it.")
    if raw.test is None:
        return train, None, classes
    test = _check_arrays("test", *raw.test, n_classes=len(classes))
    _require_every_class("test", test.labels, classes, "Add some.")
    if (test.images.shape[1:], test.images.dtype) != (train.images.shape[1:], train.images.dtype):
        raise DataError(
            f"Test images are {test.images.dtype} {test.images.shape[1:]}, those of train {train.images.dtype} "
            f"{train.images.shape[1:]}. Both must be alike: convert one of them."
        )
    shared = _stand_in(membership.image_digests(train.images), membership.image_digests(test.images))
    if shared and not raw.published:
        raise DataError(
            f"{shared} of {len(test.labels)} test images also stand in train, so test accuracy would flatter. "
            "Remove them from one of the two."
        )
    return train, test, classes


def split(train: Split, test: Split | None, classes: Sequence[str], data: Data) -> dict[str, Split]:
    """Seeded splits by name; copies of an image never stand on both sides of a cut made here.

    An image's place follows from its bytes and the seed, so it keeps it as the data grow: what was tested yesterday is
    not trained on today. Sizes are therefore about the shares asked for; `membership` says how nearly, and what
    becomes of small classes.

    Raises:
        DataError: a class is too small to be split, or calibration asks for more images than train has left.
    """
    digests = membership.image_digests(train.images)
    _require_enough(membership.different_images(digests, train.labels, len(classes)), test is None, classes)
    if test is None:
        held = membership.held_out(digests, train.labels, data.test, data.seed, "test", leave=2)
        train, test, digests = train.take(~held), train.take(held), digests[~held]
    held = membership.held_out(digests, train.labels, data.selection, data.seed, "selection", leave=1)
    train, selection, digests = train.take(~held), train.take(held), digests[~held]
    if data.calibration > len(train.labels):
        raise DataError(
            f"data.calibration asks for {data.calibration} images, but train has {len(train.labels)}. "
            f"Set it to {len(train.labels)} or less."
        )
    chosen = membership.stratified(digests, train.labels, data.calibration, data.seed, "calibration")
    return {"train": train, "calibration": train.take(chosen), "selection": selection, "test": test}


def describe(splits: Mapping[str, Split], classes: Sequence[str], data: Data, own_test: bool = False) -> Manifest:
    """The manifest of finished splits: what is in them, and the digest that names them."""
    values = pixel_range([splits[name].images for name in DISJOINT])
    records = {
        name: SplitRecord(
            n=len(part.labels),
            counts=dict(zip(classes, np.bincount(part.labels, minlength=len(classes)).tolist(), strict=True)),
            images_sha256=sha256(part.images),
            labels_sha256=sha256(part.labels),
            pixels=measure(part.images, values),
        )
        for name, part in splits.items()
    }
    prints = {name: membership.image_digests(splits[name].images) for name in DISJOINT}
    digest = "\n".join(f"{name} {record.images_sha256} {record.labels_sha256}" for name, record in records.items())
    return Manifest(
        source=data.source,
        seed=data.seed,
        image_shape=splits["train"].images.shape[1:],
        dtype=str(splits["train"].images.dtype),
        classes=list(classes),
        splits=records,
        own_test=own_test,
        pixel_range=values,
        duplicates=Duplicates(
            within={name: len(own) - len(np.unique(own)) for name, own in prints.items()},
            across={f"{a}/{b}": _stand_in(prints[a], prints[b]) for a, b in combinations(DISJOINT, 2)},
        ),
        digest=hashlib.sha256(digest.encode()).hexdigest(),
    )


def _stand_in(known: npt.NDArray[np.bytes_], seen: npt.NDArray[np.bytes_]) -> int:
    return int(np.isin(seen, known).sum())


def _check_arrays(part: str, images: npt.NDArray[Any], labels: npt.NDArray[Any], n_classes: int | None) -> Split:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(f"Images of {part} have shape {images.shape}. Give one or more, as (N, H, W) or (N, H, W, C).")
    if labels.ndim != 1 or len(labels) != len(images):
        raise DataError(
            f"Labels of {part} have shape {labels.shape} for {len(images)} images. Give one an image, as (N,)."
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"Images of {part} are {images.dtype}. Give uint8 in 0..255, or floats already scaled.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"Labels of {part} are {labels.dtype}. Give integers, as with labels.astype('int64').")
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
        if bad := int((~np.isfinite(images)).sum()):
            raise DataError(f"{bad} pixels of {part} are NaN or infinite in float32. Repair or remove their images.")
    if labels.min() < 0 or labels.max() >= (n_classes or len(labels)):
        allowed = f"0 to {n_classes - 1}" if n_classes else "0 to the number of classes less one"
        raise DataError(f"Labels of {part} run from {labels.min()} to {labels.max()}. Renumber them to {allowed}.")
    return Split(np.ascontiguousarray(images), labels.astype(np.int64))


def _require_every_class(part: str, labels: npt.NDArray[Any], classes: Sequence[str], remedy: str) -> None:
    for absent in np.setdiff1d(np.arange(len(classes)), labels):
        raise DataError(f"Class '{classes[absent]}' has no image in {part}. {remedy}")


def _require_enough(different: npt.NDArray[np.intp], with_test: bool, classes: Sequence[str]) -> None:
    parts = ("train", "selection", "test") if with_test else ("train", "selection")
    for name, n in zip(classes, different, strict=True):
        if n < len(parts):
            raise DataError(
                f"Class '{name}' has too few different images to be split: {n}, and {', '.join(parts)} need one each. "
                "Add some."
            )


def _replace(target: Path, splits: Mapping[str, Split], manifest: Manifest) -> None:
    """Write all beside, then swap; the manifest leaves first and arrives last, so it never names other arrays."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".") as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        old.mkdir()
        for name, part in splits.items():
            (new / name).mkdir(parents=True)
            np.save(new / name / "images.npy", part.images)
            np.save(new / name / "labels.npy", part.labels)
        (new / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        names = [*splits, "manifest.json"]
        for name in reversed(names):
            if (target / name).exists():
                (target / name).rename(old / name)
        for name in names:
            (new / name).rename(target / name)
