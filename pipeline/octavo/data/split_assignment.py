"""Assign images to splits by their bytes, so that an image keeps its split when other images are added or removed.

The bytes are those of its file, or of its array if it has no file. So an image does not move when its neighbours, the
requested size or the library that decodes it changes.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.project.files import spooled_array

BY_PIXELS, BY_FILE = 1, 2
"""The rules that ever split data, by their numbers in manifests: by an image's array as in the splits, and by its file.
Images from files were once split by the first rule, and then moved with their neighbours.
"""

Digests = npt.NDArray[np.bytes_]
Labels = npt.NDArray[Any]


def image_digests(images: npt.NDArray[Any]) -> Digests:
    """(N,) digests of 16 bytes, equal for byte-identical images."""
    rows = (image for part in spooled_array.parts(images) for image in part)
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in rows], dtype="S16")


def draws(digests: Digests, seed: int, purpose: str) -> npt.NDArray[np.float64]:
    """(N,) pseudo-random numbers in [0, 1). Each depends only on its image's digest, the seed and the purpose.

    They are uniform, and independent for different seeds or purposes: BLAKE2b (Aumasson et al., BLAKE2: simpler,
    smaller, fast as MD5, 2013) keyed by the seed and personalized by `purpose`, with the 53 bits that a float64 holds.

    Args:
        digests: from `image_digests`.
        seed: any integer.
        purpose: what the numbers are for, up to 16 bytes.
    """
    key, person = hashlib.blake2b(str(seed).encode()).digest(), purpose.encode()
    whole = np.ascontiguousarray(digests).view("V16")  # as bytes, S16 would lose trailing zeros
    hashes = [hashlib.blake2b(each.tobytes(), digest_size=8, key=key, person=person).digest() for each in whole]
    return (np.frombuffer(b"".join(hashes), "<u8") >> 11) / np.float64(2**53)


def held_out(digests: Digests, labels: Labels, share: float, seed: int, part: str, leave: int) -> npt.NDArray[np.bool_]:
    """(N,) bool: whether an image goes to `part`. Its draw must be below `share`, so copies stay together.

    Of n different images about `share` are held out, with a standard deviation of sqrt(share (1 - share) / n): 20% ±
    0.9
    points of 1,797. An image never changes sides when others are added or removed, with one exception: if a class would
    be missing on one side, its images with the smallest draws are held out, at least one, and at least `leave` stay.
    Then a new image of that class can take such an image's place. The single held-out image goes back to train; or,
    more rarely (with a chance of share^k for k images of the class), an image that had stayed is held out later, and
    models trained before have seen it.

    A class needs `leave` + 1 different images, as `different_images` counts them.

    Args:
        digests: (N,) from `image_digests`.
        labels: (N,) integers.
        share: of the images to hold out, 0..1.
        seed: any integer.
        part: name of the split, up to 16 bytes.
        leave: number of different images of a class that must stay.
    """
    unique, owners, copy_of = _different(digests, labels)
    drawn, held = draws(unique, seed, part), np.zeros(len(unique), np.bool_)
    for label in np.unique(owners):
        own = np.flatnonzero(owners == label)
        n = np.clip((drawn[own] < share).sum(), 1, len(own) - leave)
        held[_smallest(drawn, own, n)] = True
    return held[copy_of]


def stratified(digests: Digests, labels: Labels, n: int, seed: int, purpose: str) -> npt.NDArray[np.intp]:
    """(n,) sorted indices: each class in proportion, and of each class the images with the smallest draws.

    Seats are given by largest remainder. If the data grow by a share g, about g / (1 + g) of the images are replaced.

    Args:
        digests: (N,) from `image_digests`.
        labels: (N,) integers.
        n: number of images to choose.
        seed: any integer.
        purpose: what they are chosen for, up to 16 bytes.
    """
    values, counts = np.unique(labels, return_counts=True)
    seats, remainders = np.divmod(n * counts, len(labels))
    seats[np.argsort(-remainders, kind="stable")[: n - seats.sum()]] += 1
    drawn = draws(digests, seed, purpose)
    chosen = [
        _smallest(drawn, np.flatnonzero(labels == value), count) for value, count in zip(values, seats, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def different_images(digests: Digests, labels: Labels, n_classes: int) -> npt.NDArray[np.intp]:
    """(n_classes,) number of different images in each class. An image in several classes counts in the first one.

    Args:
        digests: (N,) from `image_digests`.
        labels: (N,) integers.
        n_classes: number of classes.
    """
    return np.bincount(_different(digests, labels)[1], minlength=n_classes)


def twins(digests: Digests, labels: Labels, label: int) -> list[tuple[int, int]]:
    """Indices of a class's images that are also in another class, each with the first index there.

    Args:
        digests: (N,) from `image_digests`.
        labels: (N,) integers.
        label: of the class.
    """
    own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
    first = {digest: place for place, digest in zip(others[::-1], digests[others[::-1]], strict=True)}
    return [(int(place), int(first[digests[place]])) for place in own if digests[place] in first]


def first_of_each(digests: Digests) -> npt.NDArray[np.bool_]:
    """(N,) bool: whether an image is the first of those with its digest.

    Args:
        digests: (N,), such as from `image_digests`.
    """
    kept = np.zeros(len(digests), np.bool_)
    kept[np.unique(digests, return_index=True)[1]] = True
    return kept


def contradicted(digests: Digests, labels: Labels) -> npt.NDArray[np.bool_]:
    """(N,) bool: whether an image with an equal digest has another label. One of the two labels is wrong.

    Args:
        digests: (N,), such as from `image_digests`.
        labels: (N,) integers, 0 or more.
    """
    if not len(labels):
        return np.zeros(0, np.bool_)
    which = np.unique(digests, return_inverse=True)[1]
    lowest, highest = np.full(len(labels), labels.max()), np.full(len(labels), -1)
    np.minimum.at(lowest, which, labels)
    np.maximum.at(highest, which, labels)
    return np.asarray(lowest[which] != highest[which])


def _different(digests: Digests, labels: Labels) -> tuple[Digests, npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """The different images, the lowest class that each is in, and the index of each image among them."""
    unique, copy_of = np.unique(digests, return_inverse=True)
    owners = np.full(len(unique), np.iinfo(np.int64).max)
    np.minimum.at(owners, copy_of, labels)
    return unique, owners, copy_of


def _smallest(drawn: npt.NDArray[np.float64], own: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.intp]:
    return own[np.argsort(drawn[own], kind="stable")[:n]]
