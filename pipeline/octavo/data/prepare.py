"""Make the data set: read, check, split, describe, and write it as plain arrays."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data import input_encoding, newcomers, sources, split_assignment
from octavo.data.duplicates import JUDGES, pixel_digests
from octavo.data.image_statistics import measure, pixel_range
from octavo.data.partition import DISJOINT, Partition, partition
from octavo.data.sources.raw import Files, Raw, sha256
from octavo.data.split_assignment import Digests
from octavo.data.splits import RANKS, Duplicates, LeftOut, Manifest, Split, SplitRecord, digest_of
from octavo.project.errors import DataError
from octavo.project.files import npy_file, spooled_array
from octavo.project.params.data import Data

NAMED = 3
"""For each kind of file that is left out, this many are named."""


def prepare(data: Data, target: Path) -> Manifest:
    """Read the source, check and split it, and replace the splits and `manifest.json` in `target`.

    Raises:
        DataError: the data cannot be used. Nothing has been written.
        ServiceUnavailable: the source must be downloaded and cannot be.
    """
    raw = sources.load(data)
    train, test, classes = check(raw)
    input_encoding.check(data.encoding, train.images.shape[1:], train.images.dtype)
    parts = partition(train, test, classes, data, raw.files, raw.published)
    manifest = describe(parts, classes, data, own_test=test is not None, files=raw.files)
    _replace(target, parts, manifest)
    return manifest


def check(raw: Raw) -> tuple[Split, Split | None, list[str]]:
    """Convert the source's arrays to the types of a `Split`. Returns train, the own test split or None, and the class
    names.

    Raises:
        DataError: wrong rank, lengths, dtype or values, or an empty class.
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
    return train, test, classes


def describe(
    parts: Partition, classes: Sequence[str], data: Data, own_test: bool = False, files: Files | None = None
) -> Manifest:
    """The manifest of finished splits: their content, their origin, and the digest that identifies them.

    Args:
        parts: the splits.
        classes: class names in label order.
        data: as in `params.yaml`.
        own_test: whether the source has its own test split.
        files: the files of the images, if they have any.
    """
    splits = parts.splits
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
    prints = {name: pixel_digests(splits[name].images) for name in DISJOINT}
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
            across={f"{a}/{b}": int(np.isin(prints[b], prints[a]).sum()) for a, b in combinations(DISJOINT, 2)},
            dropped=parts.dropped,
            two_labels=_two_labels(prints, splits),
        ),
        split_rule=split_assignment.BY_FILE if files else split_assignment.BY_PIXELS,
        test_share=None if own_test else data.test,
        left_out={
            kind: LeftOut(n=len(names), names=names[:NAMED])
            for kind, names in (files.left_out.items() if files else ())
        },
        changed=dict(files.changed) if files else {},
        encoding=data.encoding,
        digest=digest_of(records),
    )


def _two_labels(prints: Mapping[str, Digests], splits: Mapping[str, Split]) -> int:
    """The number of images whose pixels also occur with another label."""
    digests = np.concatenate([prints[name] for name in DISJOINT])
    labels = np.concatenate([splits[name].labels for name in DISJOINT])
    return int(split_assignment.contradicted(digests, labels).sum())


def check_form(part: str, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    """Check what the first examples of a source show: rank, lengths and types.

    Args:
        part: train or test, for the message.
        images: of the part.
        labels: of the part.

    Raises:
        DataError: one of them is wrong.
    """
    if images.ndim not in RANKS or 0 in images.shape:
        raise DataError(
            f"Images of {part} have shape {images.shape}. Give one or more, as (N, H, W) or (N, H, W, C); signals as "
            "(N, T, C), vectors as (N, D), volumes as (N, Z, H, W, C)."
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise DataError(
            f"Labels of {part} have shape {labels.shape} for {len(images)} images. Give one per image, as (N,)."
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"Images of {part} are {images.dtype}. Give uint8 in 0..255, or floats already scaled.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"Labels of {part} are {labels.dtype}. Give integers, as with labels.astype('int64').")


def _check_arrays(part: str, images: npt.NDArray[Any], labels: npt.NDArray[Any], n_classes: int | None) -> Split:
    check_form(part, images, labels)
    if images.dtype != np.uint8:
        images = spooled_array.changed(images, _float32)
        if bad := sum(int((~np.isfinite(rows)).sum()) for rows in spooled_array.parts(images)):
            raise DataError(f"{bad} pixels of {part} are NaN or infinite in float32. Repair or remove their images.")
    if labels.min() < 0 or labels.max() >= (n_classes or len(labels)):
        allowed = f"0 to {n_classes - 1}" if n_classes else "0 to the number of classes minus one"
        raise DataError(f"Labels of {part} run from {labels.min()} to {labels.max()}. Renumber them to {allowed}.")
    if not images.flags.c_contiguous:
        images = spooled_array.changed(images, np.ascontiguousarray)
    return Split(images, labels.astype(np.int64))


def _float32(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        return images.astype(np.float32)


def _require_every_class(part: str, labels: npt.NDArray[Any], classes: Sequence[str], remedy: str) -> None:
    for absent in np.setdiff1d(np.arange(len(classes)), labels):
        raise DataError(f"Class '{classes[absent]}' has no image in {part}. {remedy}")


def _replace(target: Path, parts: Partition, manifest: Manifest) -> None:
    """Write everything beside, then rename. The manifest is removed first and added last, so it never names other
    arrays.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".") as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        old.mkdir()
        for name, part in parts.splits.items():
            (new / name).mkdir(parents=True)
            npy_file.write(new / name / "images.npy", part.images)
            npy_file.write(new / name / "labels.npy", part.labels)
            if name in parts.names:
                newcomers.write_names(new / name, parts.names[name])
        (new / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        names = [*parts.splits, "manifest.json"]
        for name in reversed(names):
            if (target / name).exists():
                (target / name).rename(old / name)
        for name in names:
            (new / name).rename(target / name)


def findings(manifest: Manifest) -> Iterator[str]:
    """What happened to the data that a user may not expect, one sentence each."""
    for kind, files in manifest.left_out.items():
        more = f" and {files.n - len(files.names)} more" if files.n > len(files.names) else ""
        yield f"{files.n} files left out ({kind}): {', '.join(files.names)}{more}"
    for change, n in manifest.changed.items():
        yield f"{n} images: {change}"
    for split, n in manifest.duplicates.dropped.items():
        yield f"{n} images removed from {split}: {' or '.join(JUDGES[split])} has the same pixels (data.duplicates)"
    for pair, n in manifest.duplicates.across.items():
        if n:
            yield f"{n} images are in both of {pair}"
    if n := manifest.duplicates.two_labels:
        yield f"{n} images have pixels that also occur with another label: no network can get all of them right"
