"""Make what the cameras recorded: `recordings/door.npz` and `recordings/window.npz`."""

from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 48, 64
DAYS = 30
OPEN = ((0.0, 0.1), (0.25, 0.45), (0.6, 1.0))
"""How far the door or the window is open, when it is closed, ajar or open."""
PLACES = {"door": (8, 16, 32), "window": (4, 12, 32)}
"""Top, left and side of it in a frame."""


def record(camera: str, seed: int, n: int = 3000) -> None:
    """Write n noisy frames of a dark opening in a wall, in the order of their days, and how far each is open."""
    generator, (top, left, side) = np.random.default_rng(seed), PLACES[camera]
    states = generator.integers(0, len(OPEN), n)
    gaps = (generator.uniform(*np.array(OPEN)[states].T) * (side - 8)).astype(int)
    right, down = np.arange(WIDTH) - left - 4, np.arange(HEIGHT) - top
    opening = ((right >= 0) & (right < gaps[:, None]))[:, None, :] & ((down >= 2) & (down < side - 2))[:, None]
    light = generator.uniform(120, 200, (n, 1, 1))
    frames = np.clip(light - 70 * opening + generator.normal(0, 35, opening.shape), 0, 255).astype(np.uint8)
    np.savez(f"recordings/{camera}.npz", frames=frames, states=states, days=np.arange(n) * DAYS // n)


if __name__ == "__main__":
    Path("recordings").mkdir(exist_ok=True)
    for seed, camera in enumerate(PLACES):
        record(camera, seed)
    print("made: recordings/door.npz and recordings/window.npz")
