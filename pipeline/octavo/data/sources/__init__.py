"""Sources of images: bundled and published sets, a user's own arrays, a user's folder of images.

A source only reads. `octavo.data.prepare` checks what was read and splits it.
"""

from pathlib import Path

from octavo.data.sources import digits, image_folder, npz, published
from octavo.data.sources.raw import Raw
from octavo.project.params.data import Data


def load(data: Data) -> Raw:
    """Read the source that `data` names.

    Raises:
        DataError: the source is missing, unreadable, or not what was published under its name.
        ServiceUnavailable: a published set is not on this machine and cannot be downloaded.
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
