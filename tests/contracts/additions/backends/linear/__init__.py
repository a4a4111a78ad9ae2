"""A runtime of one matrix: `.linear` files, which NumPy runs."""

from octavo.backends.backend import Format

FORMAT = Format(
    name="linear",
    title="Linear",
    suffix=".linear",
    libraries=("numpy",),
    usage='import numpy as np\n\nweights = np.load("{{ file }}")\n',
)
