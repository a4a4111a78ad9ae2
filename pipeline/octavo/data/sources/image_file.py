"""Decode one image file completely, or refuse it: nothing in it is dropped silently."""

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
"""The formats that Pillow may open, whatever the file's name is. JPEG includes MPO, a JPEG followed by
further frames.
"""
GREY_MODES = ("1", "L", "LA")
MODES = (*GREY_MODES, "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes that can be converted to grey or RGB."""

CMYK, FIRST_FRAME = "CMYK converted to RGB without a colour profile", "first frame taken, others left out (MPO)"
"""How an image is changed while it is read."""

PNG_DEPTH = 24
"""Offset of the bits per channel in a PNG: the chunk IHDR is always first."""
BITS, EXTRA_CHANNELS, SAMPLE_FORMAT = 258, 338, 339
"""TIFF tags: bits of each channel; meaning of each channel beyond the colours; integers or floats."""
UNSPECIFIED, UNSIGNED = 0, 1
"""TIFF values: an extra channel that is not alpha; a sample that is an unsigned integer."""
NETPBM = re.compile(rb"P[2356](?:\s+(?:#[^\r\n]*)?)+\d+(?:\s+(?:#[^\r\n]*)?)+\d+(?:\s+(?:#[^\r\n]*)?)+(\d+)")
"""The header of a PGM or PPM: magic, width, height and the largest value, with optional comments in between."""

TIFF_COMPRESSIONS = (
    "raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg", "tiff_ccitt", "group3", "group4",
)  # fmt: skip
"""The compressions of photos and scans. libtiff's other decoders are rarely used, and damaged files have
crashed them.
"""
PIXELS = 8192 * 8192
"""Limit for the pixels of an image; as network input they take 800 MB."""
LARGEST = 2**28
"""Limit for the bytes of a file. An uncompressed image with the largest number of pixels takes 200 MB."""
REMEDY = "Replace or remove it."


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    pixels: npt.NDArray[np.uint8]
    """(H, W) for grey, otherwise (H, W, 3)."""
    digest: bytes
    """16 bytes, of the file."""
    changes: tuple[str, ...]
    """Of `CMYK` and `FIRST_FRAME`."""


def read(path: Path, size: tuple[int, int] | None = None) -> Picture:
    """As `decode`, without Pillow's warnings. They are switched off for the whole process, so it is for one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about metadata, which is not used
        return decode(path, size)


def decode(path: Path, size: tuple[int, int] | None = None) -> Picture:
    """Decode an image file as grey or RGB, turned upright by its EXIF data.

    An alpha channel that is opaque everywhere is left out. Colour profiles are not applied.

    Args:
        path: of the file.
        size: (height, width) to resize to; None to keep the size.

    Raises:
        DataError: it cannot be decoded, or has more than 8 bits per channel, transparent pixels, channels that are not
            colours, or several frames. From an MPO the first frame is used: it is the photo, and the others are
            previews.
    """
    content = _content(path)
    try:
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
        raise DataError(f"{path} cannot be read: it is not a file, or a link to no file. Remove it.") from None
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
    """The reason, from its header, not to decode the image, or None."""
    if image.width * image.height > PIXELS:
        return f"has {image.width:,} x {image.height:,} pixels, allowed are {PIXELS:,}. Make it smaller."
    packed = image.info.get("compression")
    if isinstance(image, TiffImageFile) and packed not in TIFF_COMPRESSIONS:
        return f"is compressed by {packed}, allowed are {', '.join(TIFF_COMPRESSIONS)}. Save it as PNG."
    return None


def _unlike_a_photo(image: ImageFile, content: bytes) -> str | None:
    """What the file holds that an image of 8 bits per channel cannot, or None."""
    depth = _bits(image, content)
    if depth > 8 or image.mode.startswith(("I", "F")):
        return f"has more than 8 bits per channel (mode {image.mode}, {depth} bits). Save it with 8 bits."
    if image.mode not in MODES:
        return f"is in mode {image.mode}, which is neither grey nor RGB. Save it as one of the two."
    if UNSPECIFIED in _tiff_values(image, EXTRA_CHANNELS):
        return "has channels that are neither colour nor alpha. Save it as grey or RGB."
    if image.format != "MPO" and (frames := _frames(image)) > 1:
        return f"has {frames} frames, and an example is one image. Save those that you want as files of their own."
    return None


def _bits(image: ImageFile, content: bytes) -> int:
    """Bits per channel in the file. Pillow reads 16-bit colour as 8 bits, and signed values as unsigned."""
    if image.format == "PNG":
        return content[PNG_DEPTH]
    if image.format == "PPM" and (header := NETPBM.match(content)):
        return int(header[1]).bit_length()
    signed = any(value != UNSIGNED for value in _tiff_values(image, SAMPLE_FORMAT))
    return max((*_tiff_values(image, BITS), 8)) + signed


def _transparent(image: ImageFile) -> str | None:
    """A clause if a pixel is transparent. Each pixel is checked, because many opaque images have an alpha channel."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return "has transparent pixels. Lay it over a background and save it without transparency."
    return None


def _tiff_values(image: ImageFile, tag: int) -> tuple[int, ...]:
    return tuple(image.tag_v2.get(tag, ())) if isinstance(image, TiffImageFile) else ()


def _frames(image: ImageFile) -> int:
    return getattr(image, "n_frames", 1)
