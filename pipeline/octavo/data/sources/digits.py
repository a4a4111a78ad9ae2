"""The digits in scikit-learn, which need no download."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from octavo.data.sources.raw import Raw


def read() -> Raw:
    """The 1,797 handwritten digits in scikit-learn, 8x8 in 0..16, as uint8 (1797, 28, 28) in 0..255."""
    bunch = load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in small]
    return Raw(train=(np.stack([np.asarray(image) for image in large]), bunch.target), classes=tuple("0123456789"))
