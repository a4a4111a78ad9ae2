"""Archives that are damaged, or that declare more than anybody would send: one sentence, and nothing is unpacked."""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

import numpy as np
import pytest

from octavo.data import sources
from octavo.data.sources import npz
from octavo.project.errors import DataError
from octavo.project.params.data import Data

ARRAYS: dict[str, np.ndarray] = {
    "x_train": np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4),
    "y_train": np.arange(6) % 2,
    "x_test": np.arange(4 * 16, dtype=np.uint8).reshape(4, 4, 4),
    "y_test": np.arange(4) % 2,
}


def packed(method: int = ZIP_STORED, **members: bytes) -> bytes:
    """An archive of `ARRAYS`, with other bytes for some."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, array in ARRAYS.items():
            archive.writestr(f"{name}.npy", members.get(name, npy(array)))
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def header(text: str) -> bytes:
    """An npy file of a header alone."""
    body = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


def declared(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    return header(str({"descr": descr, "fortran_order": False, "shape": shape}))


def patched(content: bytes, offset: int, form: str, value: int) -> bytes:
    """With another value in the central directory's first record (x_train), at that offset."""
    changed, place = bytearray(content), content.index(b"PK\x01\x02")
    struct.pack_into(form, changed, place + offset, value)
    return bytes(changed)


def flipped(method: int) -> bytes:
    """Damaged in the middle of what x_train is packed to."""
    content = bytearray(packed(method))
    size = struct.unpack_from("<I", content, 18)[0]
    place = 30 + len("x_train.npy") + size // 2
    content[place : place + 8] = bytes(255 - byte for byte in content[place : place + 8])
    return bytes(content)


def twice() -> bytes:
    out = io.BytesIO(packed())
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("y_test.npy", npy(ARRAYS["y_test"][::-1]))
    return out.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "encrypted": (lambda: patched(packed(), 8, "<H", 1), "x_train is encrypted"),
    "unknown compression": (lambda: patched(packed(), 10, "<H", 97), "compressed by method 97"),
    "damaged deflate": (lambda: flipped(ZIP_DEFLATED), "x_train .*damaged"),
    "damaged bzip2": (lambda: flipped(ZIP_BZIP2), "x_train .*damaged"),
    "damaged LZMA": (lambda: flipped(ZIP_LZMA), "x_train .*damaged"),
    "damaged and stored": (lambda: flipped(ZIP_STORED), "x_train is damaged.*CRC"),
    "one name twice": (twice, "2 arrays called y_test"),
    "a header cut short": (lambda: packed(x_train=npy(ARRAYS["x_train"])[:40]), "header is damaged"),
    "a header that is no header": (lambda: packed(x_train=header("(" * 110)), "header is damaged"),
    "a header that calls": (lambda: packed(x_train=header("__import__('os')")), "header is damaged"),
    "a later version": (lambda: packed(x_train=b"\x93NUMPY\x03\x00" + bytes(200)), "version 3.0"),
    "10^12 bytes declared": (
        lambda: packed(x_train=declared((10**12,))),
        "128 bytes and declares 1,000,000,000,128",
    ),
    "more than there can be": (lambda: packed(x_train=declared((2**62, 2**62))), "declares 21,267"),
    "a negative shape": (lambda: packed(x_train=declared((-6, -4, 4))), "declares the shape"),
    "objects": (lambda: packed(y_train=npy(np.array([None] * 6))), "Python objects"),
    "objects, header only": (lambda: packed(y_train=declared((6,), "|O")), "Python objects"),
    "a structure": (lambda: packed(y_train=npy(np.zeros(6, "i4,i4"))), "allowed are plain numbers"),
    "texts": (lambda: packed(y_train=npy(np.array(list("abcdef")))), "allowed are plain numbers"),
    "more than it says": (lambda: packed(x_train=npy(ARRAYS["x_train"]) + bytes(9)), "has 233 bytes and declares 224"),
    "nothing in it": (lambda: b"PK\x05\x06" + bytes(18), "has no x_train"),
}


@pytest.mark.parametrize(("content", "sentence"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_one_sentence(content: Callable[[], bytes], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(content())

    with pytest.raises(DataError, match=rf"own\.npz .*{sentence}.*Write it with np\.savez"):
        sources.load(Data(source="npz", path=path))


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_whole_archives_are_read_whatever_they_are_packed_with(method: int, tmp_path: Path) -> None:
    own = ARRAYS | {"x_train": np.asfortranarray(ARRAYS["x_train"]), "y_train": ARRAYS["y_train"].astype(">i2")}
    path = tmp_path / "own.npz"
    path.write_bytes(packed(method, **{name: npy(array) for name, array in own.items()}))

    raw = sources.load(Data(source="npz", path=path))
    assert raw.test is not None
    for got, wanted in zip((*raw.train, *raw.test), own.values(), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_lengths_are_compared_before_anything_is_unpacked(tmp_path: Path) -> None:
    """A quarter of a gigabyte of zeros, packed to a thousandth, for six labels."""
    path = tmp_path / "own.npz"
    head = declared((2**18, 32, 32))
    with zipfile.ZipFile(path, "w", ZIP_DEFLATED) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(head)
            for _ in range(16):
                member.write(bytes(2**24))
        for name in ("y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", npy(ARRAYS[name]))

    before = os.times()
    with pytest.raises(DataError, match=r"labels of train of shape \(6,\) for 262,144 images"):
        sources.load(Data(source="npz", path=path))
    after = os.times()
    assert after.user + after.system - before.user - before.system < 0.2, "it was unpacked"


def test_an_archive_larger_than_the_memory_is_refused_by_what_it_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(packed(ZIP_DEFLATED))
    monkeypatch.setattr(npz, "_memory", lambda: 500)

    with pytest.raises(DataError, match=r"own\.npz unpacks to \d+ bytes, and this machine has 500 of memory"):
        sources.load(Data(source="npz", path=path))


def test_a_pipe_in_the_archives_place_is_no_reason_to_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "own.npz")
    with pytest.raises(DataError, match=r"own\.npz cannot be read: it is not a regular file"):
        sources.load(Data(source="npz", path=tmp_path / "own.npz"))
