"""The set that ships is there, and real."""

import numpy as np

from octavo.data.sources import digits


def test_digits_are_real_and_use_the_whole_range() -> None:
    images, labels = digits.read().train

    assert (images.shape, str(images.dtype)) == ((1797, 28, 28), "uint8")
    assert (images.min(), images.max(), len(np.unique(labels))) == (0, 255, 10)
