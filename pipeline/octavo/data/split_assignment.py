"""Which part an image belongs to: a property of its bytes, so that it stays there as others come or go.

The bytes are those that came: of its file, where it has one, else of its array. So neither its neighbours, nor the size
asked for, nor the library that decodes it, moves an image.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

BY_PIXELS, BY_FILE = 1, 2
"""The rules by which data were ever split, as manifests number them: by an image's array as the splits hold it, and by
its file. Images from files were split by the first once, and then moved with their neighbours."""

Digests = npt.NDArray[np.bytes_]
Labels = npt.NDArray[Any]


def image_digests(images: npt.NDArray[Any]) -> Digests:
    """(N,) digests of 16 bytes, equal where images are byte-identical."""
    return np.array([hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images], dtype="S16")


def draws(digests: Digests, seed: int, purpose: str) -> npt.NDArray[np.float64]:
    """(N,) numbers in [0, 1), one for each image's digest whatever else is there; equal for byte-identical images.

    They are uniform, and independent from one seed or purpose to another: BLAKE2b (Aumasson et al., BLAKE2: simpler,
    smaller, fast as MD5, 2013) keyed by the seed and personalized by `purpose`, to the 53 bits that a float64 holds.

    Args:
        digests: from `image_digests`.
        seed: any integer.
        purpose: what is drawn for, up to 16 bytes.
    """
    key, person = hashlib.blake2b(str(seed).encode()).digest(), purpose.encode()
    whole = np.ascontiguousarray(digests).view("V16")  # as bytes, S16 would lose trailing zeros
    hashes = [hashlib.blake2b(each.tobytes(), digest_size=8, key=key, person=person).digest() for each in whole]
    return (np.frombuffer(b"".join(hashes), "<u8") >> 11) / np.float64(2**53)


def held_out(digests: Digests, labels: Labels, share: float, seed: int, part: str, leave: int) -> npt.NDArray[np.bool_]:
    """(N,) whether an image goes to `part`: those whose draw is below `share`, so copies go together.

    Of n different images about `share` are held out, give or take sqrt(share (1 - share) / n): 20% ± 0.9 points of
    1,797. An image never changes sides as others come or go, but where a class would be missing on one side: there
    its images with the smallest draws are held out, one at least, and `leave` at least stay. Then a newcomer of that
    class can take such an image's place: the lone one held out goes back to train or, rarer (a chance of share^k with
    k images of the class), one that stayed is held out after all, and models trained before have seen it.

    A class needs `leave` + 1 different images, as `different_images` counts them.
    """
    unique, owners, copy_of = _different(digests, labels)
    drawn, held = draws(unique, seed, part), np.zeros(len(unique), np.bool_)
    for label in np.unique(owners):
        own = np.flatnonzero(owners == label)
        n = np.clip((drawn[own] < share).sum(), 1, len(own) - leave)
        held[_smallest(drawn, own, n)] = True
    return held[copy_of]


def stratified(digests: Digests, labels: Labels, n: int, seed: int, purpose: str) -> npt.NDArray[np.intp]:
    """(n,) sorted indices, each class in proportion and of each the images with the smallest draws.

    Seats go by largest remainder. When the data grow by a share g, about g / (1 + g) of the images are replaced.
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
    """(n_classes,) images of each class that differ; one that stands in several classes counts in the first."""
    return np.bincount(_different(digests, labels)[1], minlength=n_classes)


def twins(digests: Digests, labels: Labels, label: int) -> list[tuple[int, int]]:
    """The places of a class's images that stand in an other class, too, each with the first place where it does."""
    own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
    first = {digest: place for place, digest in zip(others[::-1], digests[others[::-1]], strict=True)}
    return [(int(place), int(first[digests[place]])) for place in own if digests[place] in first]


def _different(digests: Digests, labels: Labels) -> tuple[Digests, npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """The different images, the lowest class that each stands in, and which of them each image is."""
    unique, copy_of = np.unique(digests, return_inverse=True)
    owners = np.full(len(unique), np.iinfo(np.int64).max)
    np.minimum.at(owners, copy_of, labels)
    return unique, owners, copy_of


def _smallest(drawn: npt.NDArray[np.float64], own: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.intp]:
    return own[np.argsort(drawn[own], kind="stable")[:n]]
