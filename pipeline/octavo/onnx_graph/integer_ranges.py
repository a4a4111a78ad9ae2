"""Scale and zero point of ranges of real values as 8-bit integers."""

import numpy as np

LEVELS = 255
"""Steps of a uint8 range."""


Range = tuple[float, float]


def uint8_parameters(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of the uint8 range that holds `low`, `high` and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / LEVELS) or np.float32(1)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))
