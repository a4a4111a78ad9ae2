"""Image files as users have them: read as they are, or refused in a sentence that says what to do."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from octavo.data.sources import image_file
from octavo.project.errors import DataError

Pixels = npt.NDArray[Any]
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
OPAQUE = np.dstack([COLOUR, np.full((6, 4), 255, np.uint8)])
INDICES = RNG.integers(0, 5, (6, 4), dtype=np.uint8)
PALETTE = RNG.integers(0, 256, (5, 3), dtype=np.uint8)


def encoded(pixels: Pixels, form: str, **options: Any) -> bytes:
    return saved(Image.fromarray(pixels), form, **options)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def indexed() -> Image.Image:
    image = Image.frombytes("P", (4, 6), INDICES.tobytes())
    image.putpalette(PALETTE.tobytes())
    return image


def png(pixels: Pixels, colour_type: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write in colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(pixels: Pixels, **tags: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF of one strip, of the tags that Pillow does not write."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    entries = {
        256: (4, pixels.shape[1]),
        257: (4, pixels.shape[0]),
        258: (3, (pixels.dtype.itemsize * 8,) * channels),
        259: (3, 1),
        262: (3, 2 if channels > 2 else 1),
        273: (4, 0),
        277: (3, channels),
        278: (4, pixels.shape[0]),
        279: (4, len(data)),
    } | {int(name.strip("_")): (3, value) for name, value in tags.items()}
    offset = 8 + 2 + 12 * len(entries) + 4
    directory, extra = b"", b""
    entries[273] = (4, offset + 2 * 8 * len(entries))
    for tag, (kind, value) in sorted(entries.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}{'HI'[kind == 4]}", *values)
        if len(packed) > 4:
            directory += struct.pack("<HHII", tag, kind, len(values), offset + len(extra))
            extra += packed.ljust(16, b"\0")
        else:
            directory += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + directory + struct.pack("<I", 0)
    return (header + extra).ljust(entries[273][1], b"\0") + data


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


CMYK = RNG.integers(0, 256, (6, 4, 4), dtype=np.uint8)
READ: dict[str, tuple[bytes, Pixels]] = {
    "grey PNG": (encoded(GREY, "PNG"), GREY),
    "colour PNG": (encoded(COLOUR, "PNG"), COLOUR),
    "opaque PNG": (encoded(OPAQUE, "PNG"), COLOUR),
    "opaque grey PNG": (encoded(np.dstack([GREY, np.full((6, 4), 255, np.uint8)]), "PNG"), GREY),
    "PNG with a palette": (saved(indexed(), "PNG"), PALETTE[INDICES]),
    "PNG whose transparent colour is not used": (saved(indexed(), "PNG", transparency=7), PALETTE[INDICES]),
    "PNG of 1 bit": (saved(Image.fromarray(GREY > 99), "PNG"), (GREY > 99) * np.uint8(255)),
    "turned PNG": (encoded(COLOUR, "PNG", exif=turned()), np.rot90(COLOUR, -1)),
    "BMP": (encoded(COLOUR, "BMP"), COLOUR),
    "BMP with a palette": (saved(indexed(), "BMP"), PALETTE[INDICES]),
    "GIF": (saved(indexed(), "GIF"), PALETTE[INDICES]),
    "WebP": (encoded(COLOUR, "WEBP", lossless=True), COLOUR),
    "opaque WebP": (encoded(OPAQUE, "WEBP", lossless=True), COLOUR),
    "PGM": (encoded(GREY, "PPM"), GREY),
    "PPM with a comment": (b"P6 # it says 65535\n4 # wide\n6 255\n" + COLOUR.tobytes(), COLOUR),
    "PPM of 52 levels": (b"P6 4 6 51\n" + (COLOUR % 52).tobytes(), COLOUR % 52 * 5),
    "TIFF": (encoded(COLOUR, "TIFF"), COLOUR),
    "written TIFF": (tiff(COLOUR), COLOUR),
    "turned TIFF": (encoded(COLOUR, "TIFF", exif=turned()), np.rot90(COLOUR, -1)),
    "TIFF of ink on paper": (tiff(GREY, _262=0), 255 - GREY),
    "opaque TIFF": (tiff(OPAQUE, _338=2), COLOUR),
    "TIFF in YCbCr": (
        saved(Image.fromarray(COLOUR).convert("YCbCr"), "TIFF"),
        np.asarray(Image.fromarray(COLOUR).convert("YCbCr").convert("RGB")),
    ),
}


@pytest.mark.parametrize(("content", "pixels"), READ.values(), ids=READ.keys())
@pytest.mark.parametrize("name", ["photo.png", "photo.jpg"])
def test_a_file_is_read_as_it_is_whatever_it_is_called(
    name: str, content: bytes, pixels: Pixels, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    picture = image_file.read(tmp_path / name)

    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == np.uint8
    assert not picture.changes


def test_jpegs_of_grey_colour_and_cmyk_look_as_they_were(tmp_path: Path) -> None:
    """CMYK as Adobe writes it is inverted; what is read is the colour that is seen."""
    flat: dict[str, Any] = {"L": 90, "RGB": (200, 30, 60), "CMYK": (20, 200, 90, 40)}
    seen: dict[str, Any] = {
        "L": 90,
        "RGB": (200, 30, 60),
        "CMYK": [round((255 - ink) * (255 - 40) / 255) for ink in (20, 200, 90)],
    }
    for mode, value in flat.items():
        path = tmp_path / f"{mode}.jfif"
        Image.new(mode, (16, 16), value).save(path, "JPEG", quality=95, exif=turned())
        picture = image_file.read(path)

        assert picture.changes == ((image_file.CMYK,) if mode == "CMYK" else ())
        assert np.abs(picture.pixels.astype(int) - seen[mode]).max() <= 4


def test_of_the_frames_behind_a_photo_of_a_phone_the_photo_is_read(tmp_path: Path) -> None:
    photo, preview = (Image.new("RGB", size, colour) for size, colour in (((16, 8), "red"), ((4, 2), "blue")))
    photo.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[preview])
    picture = image_file.read(tmp_path / "phone.jpg")

    assert picture.pixels.shape == (8, 16, 3)
    assert (picture.pixels.mean((0, 1)).round(-1) == [250, 0, 0]).all()
    assert picture.changes == (image_file.FIRST_FRAME,)


def test_the_digest_is_of_the_bytes_and_not_of_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(encoded(GREY, "PNG"))
    (tmp_path / "other.png").write_bytes(encoded(GREY, "PNG", compress_level=0))
    one, small, other = (
        image_file.read(tmp_path / name, size)
        for name, size in (("one.png", None), ("one.png", (2, 2)), ("other.png", None))
    )

    assert one.digest == small.digest != other.digest
    assert small.pixels.shape == (2, 2)


HIGH = RNG.integers(0, 4096, (6, 4, 4), dtype=np.uint16)
"""As of a camera of 12 bits."""
CLEAR = np.dstack([COLOUR, np.where(np.arange(24) < 23, 255, 254).astype(np.uint8).reshape(6, 4)])
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(255 - COLOUR)]}
DEEP, THROUGH, MANY, OTHER, BROKEN = (
    "more than 8 bits per channel",
    "transparent pixels",
    "has 2 frames",
    "neither colour nor alpha",
    "cannot be read",
)
REFUSED: dict[str, tuple[bytes, str]] = {
    "grey PNG of 16 bits": (png(HIGH[..., 0], 0), DEEP),
    "colour PNG of 16 bits": (png(HIGH[..., :3], 2), DEEP),
    "grey PNG of 16 bits with alpha": (png(HIGH[..., :2], 4), DEEP),
    "colour PNG of 16 bits with alpha": (png(HIGH, 6), DEEP),
    "grey TIFF of 16 bits": (tiff(HIGH[..., 0]), DEEP),
    "colour TIFF of 16 bits": (tiff(HIGH[..., :3]), DEEP),
    "TIFF of floats": (tiff(GREY.astype(np.float32), _339=3), DEEP),
    "TIFF of signed bytes": (tiff(GREY.view(np.int8), _339=2), DEEP),
    "TIFF of 32 bits": (tiff(GREY.astype(np.uint32)), DEEP),
    "PGM of 12 bits": (b"P5\n# deep\n4 6\n4095\n" + HIGH[..., 0].astype(">u2").tobytes(), DEEP),
    "PPM of 12 bits": (b"P6 4 6\n4095\n" + HIGH[..., :3].astype(">u2").tobytes(), DEEP),
    "plain PPM of 10 bits": (b"P3 1 1 1000 1 2 3\n", DEEP),
    "PFM": (b"Pf\n4 6\n-1.0\n" + GREY.astype("<f4").tobytes(), DEEP),
    "PNG with alpha": (encoded(CLEAR, "PNG"), THROUGH),
    "PNG with a transparent colour": (encoded(COLOUR, "PNG", transparency=tuple(COLOUR[0, 0].tolist())), THROUGH),
    "PNG with a transparent grey": (encoded(GREY, "PNG", transparency=int(GREY[0, 0])), THROUGH),
    "PNG with a transparent index": (saved(indexed(), "PNG", transparency=int(INDICES[0, 0])), THROUGH),
    "PNG with a translucent palette": (saved(indexed(), "PNG", transparency=bytes([255, 254, 255, 255, 255])), THROUGH),
    "GIF with a transparent index": (saved(indexed(), "GIF", transparency=int(INDICES[0, 0])), THROUGH),
    "WebP with alpha": (encoded(CLEAR, "WEBP", lossless=True), THROUGH),
    "TIFF with alpha": (tiff(CLEAR, _338=2), THROUGH),
    "TIFF with premultiplied alpha": (tiff(CLEAR, _338=1), THROUGH),
    "animated GIF": (encoded(COLOUR, "GIF", **FRAMES), MANY),
    "animated PNG": (encoded(COLOUR, "PNG", **FRAMES), MANY),
    "animated WebP": (encoded(COLOUR, "WEBP", **FRAMES), MANY),
    "TIFF of pages": (encoded(COLOUR, "TIFF", **FRAMES), MANY),
    "TIFF with infrared": (tiff(CLEAR, _338=0), OTHER),
    "TIFF with a mask": (tiff(HIGH[..., :2].astype(np.uint8), _338=0), OTHER),
    "TIFF in CIELAB": (saved(Image.merge("LAB", [Image.fromarray(GREY)] * 3), "TIFF"), "neither grey nor RGB"),
    "empty file": (b"", BROKEN),
    "text": (b"not an image", BROKEN),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', BROKEN),
    "AVIF or HEIC": (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", BROKEN),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", BROKEN),
    "PCX, which Pillow can read": (encoded(COLOUR, "PCX"), BROKEN),
    "header alone": (encoded(COLOUR, "PNG")[:33], BROKEN),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_eight_bits_of_grey_or_rgb_cannot_hold_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)

    with pytest.raises(DataError, match=why) as said:
        image_file.read(path)

    assert str(said.value).startswith(f"{path} ")
    assert "\n" not in str(said.value)
    assert " at 0x" not in str(said.value)


def test_an_image_larger_than_memory_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "bomb.pgm").write_bytes(b"P5\n60000 60000\n255\n")

    with pytest.raises(DataError, match=r"exceeds limit .* pixels"):
        image_file.read(tmp_path / "bomb.pgm")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    for name in ("pipe.png", "folder.png", "link.png"):
        with pytest.raises(DataError, match=rf"{name} cannot be read: ([Ii]t is not a (regular )?file|Is a directory)"):
            image_file.read(tmp_path / name)


LARGE = Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8))
WRITERS: dict[str, Callable[[], bytes]] = {
    "BMP": lambda: saved(LARGE, "BMP"),
    "GIF": lambda: saved(LARGE, "GIF"),
    "JPEG": lambda: saved(LARGE, "JPEG", exif=turned()),
    "MPO": lambda: saved(LARGE, "MPO", save_all=True, append_images=[LARGE.rotate(90)]),
    "PNG": lambda: saved(LARGE, "PNG", exif=turned()),
    "PPM": lambda: saved(LARGE, "PPM"),
    "TIFF": lambda: saved(LARGE, "TIFF", compression="tiff_lzw"),
    "WEBP": lambda: saved(LARGE, "WEBP", lossless=True),
}
FRAMED = {
    form: (lambda form=form: saved(LARGE, form, save_all=True, append_images=[LARGE.rotate(90)]))
    for form in ("GIF", "PNG", "TIFF", "WEBP")
}


@settings(max_examples=100, deadline=None)
@given(
    write=st.sampled_from([*WRITERS.values(), *FRAMED.values()]),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 255)), max_size=6),
)
def test_a_damaged_file_is_a_sentence_or_an_image_and_never_a_traceback(
    write: Callable[[], bytes], cut: float, changes: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    whole = write()
    content = bytearray(whole[: int(cut * len(whole))])
    for place, value in changes:
        if content:
            content[int(place * (len(content) - 1))] = value
    path.write_bytes(content)
    with suppress(DataError):
        assert image_file.read(path).pixels.dtype == np.uint8


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_a_file_cut_short_is_refused_or_lacks_nothing(form: str, tmp_path: Path) -> None:
    whole = WRITERS[form]()
    path = tmp_path / "cut.png"
    path.write_bytes(whole)
    pixels = image_file.read(path).pixels
    for length in range(0, len(whole), max(1, len(whole) // 50)):
        path.write_bytes(whole[:length])
        with suppress(DataError):
            np.testing.assert_array_equal(image_file.read(path).pixels, pixels)


@pytest.mark.parametrize("packed", ["tiff_sgilog", "lzma", "zstd", "jpeg2000"])
def test_rare_decoders_are_not_reached(packed: str, tmp_path: Path) -> None:
    """By the header, before anything is decoded; what follows need not be what it says."""
    codes = {"tiff_sgilog": 34676, "lzma": 34925, "zstd": 50000, "jpeg2000": 34712}
    content = bytearray(encoded(GREY, "TIFF", compression="tiff_lzw"))
    place = content.index(struct.pack("<HHIH", 259, 3, 1, 5))
    struct.pack_into("<H", content, place + 8, codes[packed])
    (tmp_path / "rare.tif").write_bytes(content)

    with pytest.raises(DataError, match=r"rare\.tif (is compressed by|cannot be read)"):
        image_file.read(tmp_path / "rare.tif")


@pytest.mark.parametrize("packed", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "group4"])
def test_common_decoders_are(packed: str, tmp_path: Path) -> None:
    image = Image.fromarray(GREY).convert("1") if packed == "group4" else Image.fromarray(GREY)
    image.save(tmp_path / "common.tif", compression=None if packed == "raw" else packed)
    np.testing.assert_array_equal(image_file.read(tmp_path / "common.tif").pixels, np.asarray(image.convert("L")))


def test_more_pixels_than_anybody_trains_on_are_refused_by_the_header(tmp_path: Path) -> None:
    """A bomb: 81 million pixels in 10 kB, below what Pillow itself refuses."""
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    with pytest.raises(DataError, match=r"has 9,000 x 9,000 pixels, allowed are 67,108,864"):
        image_file.read(tmp_path / "bomb.png")


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match=r"it has 1,099,511,627,776 bytes"):
        image_file.read(tmp_path / "sparse.png")
