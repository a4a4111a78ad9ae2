"""Sources of images: bundled and published sets, a user's own arrays, a user's folder of images.

A source only reads. `octavo.data.prepare` checks what was read and splits it.
"""

from pathlib import Path

from octavo.data.sources import image_folder, npz, published
from octavo.data.sources.raw import Raw
from octavo.project import extras
from octavo.project.params.data import Data

try:
    from octavo.data.sources import digits
except ModuleNotFoundError as fault:
    digits = extras.absent(fault)


def load(data: Data) -> Raw:
    """Read the source that `data` names.

    Raises:
        DataError: the source is missing, unreadable, or not what was published under its name.
        ServiceUnavailable: a published set is not on this machine and cannot be downloaded.
        ModuleNotFoundError: the digits are inside scikit-learn, which is an extra and not installed.
    """
    path = data.path or Path()
    match data.source:
        case "digits":
            return digits.read()
        case "mnist":
            return published.mnist()
        case "fashion_mnist":
            return published.fashion_mnist()
        case "npz":
            return npz.read(path)
        case "images":
            return image_folder.read(path, data.image_size)
