"""What is found by looking into a model file: its tensors, its layers, what it computes in, and how it answers."""

from typing import Literal

from octavo.project.schema import Interval, Record


class Tensor(Record):
    """An input or an output of a model."""

    name: str
    dtype: str
    """As NumPy calls it."""
    shape: tuple[int | None, ...]
    """None where a dimension is free, as the batch is."""
    scale: float | None = None
    """Of integers that stand for real values: real = scale * (integer - zero). None of others."""
    zero: int | None = None

    def __str__(self) -> str:
        text = f"{self.dtype} ({', '.join('N' if size is None else str(size) for size in self.shape)})"
        return text if self.scale is None else f"{text}, scale {self.scale:.9g}, zero point {self.zero}"


class Interface(Record):
    """How a model file is called."""

    input: Tensor
    output: Tensor
    session_options: dict[str, str] = {}
    """Of onnxruntime, which the file asks for; Octavo sets them, elsewhere they have to be set by hand.

    Exact sums are not among them: they depend on the CPU, and whoever opens the file decides about them.
    """


class FloatNode(Record):
    name: str
    operator: str
    why: str


class Saturation(Record):
    """A layer whose sums of two products can leave 16 bits: CPUs without VNNI cut them off unless made exact."""

    layer: str
    possible: float
    """Share of the pairs of weights that would, beside activations of 255."""
    share: float
    """Share of all such sums that did, on calibration images."""


class Proof(Record):
    """What counts as a weight and as a multiply-accumulate is said in `octavo.backends.operators`."""

    integer_weight_share: float | None
    """Share of weight elements that are stored as integers; None where an unknown operator may hold more of them."""
    integer_compute_share: float | None
    """Share of multiply-accumulates that run in integer kernels; None where not all can be counted."""
    float_nodes: list[FloatNode]
    uncounted: list[FloatNode] = []
    """Operators whose multiply-accumulates, or how often they run, are unknown."""
    saturation: list[Saturation] | None = None
    """Layers at risk on x86 CPUs without VNNI; None where it was not measured, or the runtime never adds in 16 bits."""


class Acceptance(Record):
    """How a finished model file answers beside the network that it was made of, on calibration images."""

    n: int
    """Images."""
    sqnr_db: float
    """Signal-to-quantization-noise ratio of the outputs in decibels: 200 where there is no noise, -200 where an output
    is not finite."""
    min_sqnr_db: float
    """The limit below which the file is refused."""
    relative_rms_error: float | None
    """Root mean square of the outputs' error over that of the network's outputs; None where it is not finite."""
    agreement: float
    """Share of images with the same top-1 class; an output that is not finite agrees with nothing."""
    non_finite: int
    """Output values of the file that are NaN or infinite."""
    clipped_biases: int
    """Biases that the range of int32 cuts off, as `clipping` counts them."""
    clipped_weights: int
    """Weights that the range of their integer type cuts off, as `clipping` counts them."""
    unmatched_weights: int
    """Weights stored as integers whose float values were not found in the network: it is unknown whether they clip."""


class Jump(Record):
    """The first layer whose error is much larger than that of the layers it reads; `layer_error.jump` has the rule."""

    layer: str
    sqnr_db: float
    before_db: float
    """Of the noisiest layer that it reads, 200 where it reads the images."""


Cause = Literal["not made", "not runnable", "not finite", "low SQNR"]
"""The recipe gave no file; the file cannot be opened, run, or compared; an output is NaN or infinite; SQNR too low."""


class Refusal(Record):
    """Why a variant has no model that counts."""

    cause: Cause
    reason: str
    """What was found, in whole sentences."""
    remedy: str
    """What to do, in whole sentences."""
    acceptance: Acceptance | None = None
    """The figures; None where no file ran."""
    jump: Jump | None = None
    """None where no layer stands out, or layers cannot be told apart."""
    layer_sqnr_db: dict[str, float] = {}
    """As in a scorecard."""

    def __str__(self) -> str:
        return f"{self.reason} {self.remedy}"


class Latency(Record):
    """Microseconds a call, over `n` calls; `p99_us` is withheld below 299 calls."""

    n: int
    p50_us: float
    p90_us: float
    p99_us: float | None
    ratio: float
    ratio_ci95: Interval


class ModelFile(Record):
    path: str
    sha256: str
    """Of the file; of a model of several files see `model_files.sha256`."""
