"""One image file, decoded as it is or refused: nothing in it is dropped without a word."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from octavo.project.errors import DataError
from octavo.project.files import atomic_write

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may open, whatever a file is called. JPEG includes MPO: a JPEG with further frames behind it."""
SUFFIXES = (
    ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
"""What a file is called that is meant to be read; which of the formats it has, its content says."""
GREY_MODES = ("1", "L", "LA")
MODES = (*GREY_MODES, "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes that convert to grey or RGB."""

CMYK, FIRST_FRAME = "CMYK converted to RGB without a colour profile", "first frame taken, others left out (MPO)"
"""How an image is changed as it is read."""

PNG_DEPTH = 24
"""Offset in a PNG of the bits a channel: the chunk IHDR is always first."""
BITS, EXTRA_CHANNELS, SAMPLE_FORMAT = 258, 338, 339
"""TIFF tags: bits of each channel; what each channel beyond the colours is; integers or floats."""
UNSPECIFIED, UNSIGNED = 0, 1
"""TIFF values: an extra channel that is not alpha; a sample that is an unsigned integer."""
NETPBM = re.compile(rb"P[2356](?:\s+(?:#[^\r\n]*)?)+\d+(?:\s+(?:#[^\r\n]*)?)+\d+(?:\s+(?:#[^\r\n]*)?)+(\d+)")
"""The header of a PGM or PPM: magic, width, height and the largest value; comments may stand between them."""

TIFF_COMPRESSIONS = (
    "raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg", "tiff_ccitt", "group3", "group4",
)  # fmt: skip
"""What photos and scans are packed with; libtiff's other decoders are rare, and damaged files have ended processes."""
PIXELS = 8192 * 8192
"""Of an image; as many take 800 MB as a network takes them."""
LARGEST = 2**28
"""Bytes of a file; those of so many pixels take 200 MB where nothing is compressed."""
REMEDY = "Replace or remove it."


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    pixels: npt.NDArray[np.uint8]
    """(H, W) where it is grey, else (H, W, 3)."""
    digest: bytes
    """16 bytes, of the file."""
    changes: tuple[str, ...]
    """Of `CMYK` and `FIRST_FRAME`."""


def read(path: Path, size: tuple[int, int] | None = None) -> Picture:
    """Decode an image file: grey or RGB, turned upright as its EXIF says, resized to `size` (height, width) if given.

    An alpha channel that is opaque everywhere is left out. Colour profiles are not applied.

    Raises:
        DataError: it cannot be decoded, or has more than 8 bits a channel, transparent pixels, channels that are no
            colour, or several frames. Of an MPO the first frame is taken: it is the photo, the others are previews.
    """
    content = _content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about metadata, which are not used
            return _decoded(path, content, size)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path} cannot be read: it is none of {', '.join(FORMATS)}, or damaged. {REMEDY}") from None
    except Exception as error:  # noqa: BLE001 # Pillow's decoders raise whatever a damaged file leads to
        raise DataError(f"{path} cannot be read as an image ({error}). {REMEDY}") from None


def _content(path: Path) -> bytes:
    try:
        return atomic_write.content(path, LARGEST)
    except FileNotFoundError:
        raise DataError(f"{path} cannot be read: it is not a file, or links to none. Remove it.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {REMEDY}") from None


def _decoded(path: Path, content: bytes, size: tuple[int, int] | None) -> Picture:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if fault := _not_to_be_decoded(image) or _unlike_a_photo(image, content) or _transparent(image):
            raise DataError(f"{path} {fault}")
        changes = [CMYK] * (image.mode == "CMYK") + [FIRST_FRAME] * (_frames(image) > 1)
        upright = ImageOps.exif_transpose(image).convert("L" if image.mode in GREY_MODES else "RGB")
    if size:
        upright = upright.resize(size[::-1], Image.Resampling.BILINEAR)
    return Picture(np.asarray(upright), hashlib.blake2b(content, digest_size=16).digest(), tuple(changes))


def _not_to_be_decoded(image: ImageFile) -> str | None:
    """Why decoding it is not tried, by its header; None where it is."""
    if image.width * image.height > PIXELS:
        return f"has {image.width:,} x {image.height:,} pixels, allowed are {PIXELS:,}. Make it smaller."
    packed = image.info.get("compression")
    if isinstance(image, TiffImageFile) and packed not in TIFF_COMPRESSIONS:
        return f"is compressed by {packed}, allowed are {', '.join(TIFF_COMPRESSIONS)}. Save it as PNG."
    return None


def _unlike_a_photo(image: ImageFile, content: bytes) -> str | None:
    """What there is in the file that an image of 8 bits a channel cannot hold; None where there is nothing."""
    depth = _bits(image, content)
    if depth > 8 or image.mode.startswith(("I", "F")):
        return f"has more than 8 bits a channel (mode {image.mode}, {depth} bits). Save it with 8 bits."
    if image.mode not in MODES:
        return f"is in mode {image.mode}, which is neither grey nor RGB. Save it as one of the two."
    if UNSPECIFIED in _tiff_values(image, EXTRA_CHANNELS):
        return "has channels that are neither colour nor alpha. Save it as grey or RGB."
    if image.format != "MPO" and (frames := _frames(image)) > 1:
        return f"has {frames} frames, and an example is one image. Save those that you want as files of their own."
    return None


def _bits(image: ImageFile, content: bytes) -> int:
    """Bits a channel as stored; Pillow reads 16 of colour as 8, and what is signed as unsigned."""
    if image.format == "PNG":
        return content[PNG_DEPTH]
    if image.format == "PPM" and (header := NETPBM.match(content)):
        return int(header[1]).bit_length()
    signed = any(value != UNSIGNED for value in _tiff_values(image, SAMPLE_FORMAT))
    return max((*_tiff_values(image, BITS), 8)) + signed


def _transparent(image: ImageFile) -> str | None:
    """Opacity is looked up pixel by pixel: many opaque images have an alpha channel all the same."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return "has transparent pixels. Lay it over a background and save it without transparency."
    return None


def _tiff_values(image: ImageFile, tag: int) -> tuple[int, ...]:
    return tuple(image.tag_v2.get(tag, ())) if isinstance(image, TiffImageFile) else ()


def _frames(image: ImageFile) -> int:
    return getattr(image, "n_frames", 1)
