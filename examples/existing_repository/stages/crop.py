"""DVC stage `crop`: the recordings of one camera in, frames of a train and a test split out."""

import sys
from pathlib import Path

import numpy as np
import yaml
from pipeline.cropping import crop


def main(camera: str) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["crop"]
    recorded = np.load(f"recordings/{camera}.npz")
    frames, states = crop(recorded["frames"], *params[camera]), recorded["states"]
    test = recorded["days"] >= params["test_from_day"]
    Path("data").mkdir(exist_ok=True)
    np.savez(
        f"data/{camera}.npz",
        x_train=frames[~test],
        y_train=states[~test],
        x_test=frames[test],
        y_test=states[test],
    )


if __name__ == "__main__":
    main(sys.argv[1])
