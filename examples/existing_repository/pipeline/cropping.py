"""Cut out of a camera's frames what matters."""

import numpy as np


def crop(frames: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """Cut a square out of frames (N, height, width)."""
    return frames[:, top : top + side, left : left + side]
