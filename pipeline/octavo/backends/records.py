"""Records of what is measured on a model file: its interface, integer shares, accuracy on calibration, latency."""

from typing import Literal

from octavo.project.schema import Interval, Record


class Tensor(Record):
    """An input or an output of a model."""

    name: str
    dtype: str
    """NumPy's name of the type."""
    shape: tuple[int | None, ...]
    """None for a free dimension, such as the batch."""
    scale: float | None = None
    """Of integers that represent real values: real = scale * (integer - zero). None for other tensors."""
    zero: int | None = None
    """The zero point; None if `scale` is None."""

    def __str__(self) -> str:
        text = f"{self.dtype} ({', '.join('N' if size is None else str(size) for size in self.shape)})"
        return text if self.scale is None else f"{text}, scale {self.scale:.9g}, zero point {self.zero}"


class Interface(Record):
    """The input and output of a model file, and the session options that it needs."""

    input: Tensor
    output: Tensor
    session_options: dict[str, str] = {}
    """Session options of onnxruntime that the file asks for. Octavo sets them; other programs must do so themselves.

    The option for exact sums is not included: it depends on the CPU, so it is decided when the file is opened.
    """


class Integers(Record):
    """The integers of a model file, to recognise another file that has the same ones, of any format."""

    weights: list[tuple[str, float]]
    """For each stored constant: a digest of its 8-bit integers without their order, and the Euclidean norm of the
    values that they stand for."""
    output_step: float | None
    """The scale of the outputs if they come from integers, else None."""
    steps: list[float]
    """Scales that the file fixes for integers that it computes, in ascending order."""


class FloatNode(Record):
    """An operator that is listed by name, with the reason."""

    name: str
    operator: str
    why: str


class Saturation(Record):
    """A layer whose sums of two products can exceed 16 bits. CPUs without VNNI clip them unless exact sums are on."""

    layer: str
    possible: float
    """Share of the pairs of weights whose sum of products can be clipped, with activations up to 255."""
    share: float
    """Share of all sums of two products that are clipped on calibration images."""


class Proof(Record):
    """How much of a model file is integer. `octavo.backends.operators` defines weights and multiply-accumulates."""

    integer_weight_share: float | None
    """Share of weight elements that are stored as integers; None if an unknown operator may hold more weights."""
    integer_compute_share: float | None
    """Share of multiply-accumulates that run in integer kernels; None if some cannot be counted."""
    float_nodes: list[FloatNode]
    """Operators that compute in float."""
    uncounted: list[FloatNode] = []
    """Operators whose multiply-accumulates or number of runs are unknown."""
    saturation: list[Saturation] | None = None
    """Layers at risk on x86 CPUs without VNNI; None if not measured, or if the runtime never adds in 16 bits."""


class Acceptance(Record):
    """The outputs of a finished model file compared with those of its source network, on calibration images."""

    n: int
    """Number of images."""
    sqnr_db: float
    """Signal-to-quantization-noise ratio of the outputs in decibels: 200 if there is no noise, -200 if an output is not
    finite."""
    min_sqnr_db: float
    """The file is refused below this limit."""
    relative_rms_error: float | None
    """Root mean square of the outputs' error divided by that of the network's outputs; None if it is not finite."""
    agreement: float
    """Share of images with the same top-1 class. An output that is not finite agrees with nothing."""
    non_finite: int
    """Number of output values of the file that are NaN or infinite."""
    clipped_biases: int
    """Number of biases clipped to the range of int32, as `clipping` counts them."""
    clipped_weights: int
    """Number of weights clipped to the range of their integer type, as `clipping` counts them."""
    unmatched_weights: int
    """Number of integer weights whose float values were not found in the network. It is unknown whether they clip."""


class Jump(Record):
    """The first layer whose error is much larger than that of the layers it reads; the rule is in `layer_sqnr.jump`."""

    layer: str
    sqnr_db: float
    before_db: float
    """SQNR of the noisiest layer that it reads; 200 if it reads the images."""


Cause = Literal["not made", "not runnable", "not finite", "low SQNR"]
"""In this order: the recipe wrote no file; the file cannot be opened, run or compared; an output is NaN or infinite;
the SQNR is below the limit."""


class Refusal(Record):
    """Why a variant has no valid model."""

    cause: Cause
    reason: str
    """What was found, in full sentences."""
    remedy: str
    """What to do, in full sentences."""
    acceptance: Acceptance | None = None
    """The figures; None if no file ran."""
    jump: Jump | None = None
    """None if the error grows gradually, or if the layers cannot be identified."""
    layer_sqnr_db: dict[str, float] = {}
    """As in a scorecard."""

    def __str__(self) -> str:
        return f"{self.reason} {self.remedy}"


class Latency(Record):
    """Microseconds per call, over `n` calls. `p99_us` is None below 299 calls."""

    n: int
    p50_us: float
    p90_us: float
    p99_us: float | None
    ratio: float
    """Median, over the rounds, of the variant's time divided by the baseline's."""
    ratio_ci95: Interval
    """95% confidence interval of `ratio`."""


class ModelFile(Record):
    """A model file and its digest."""

    path: str
    sha256: str
    """Digest of the file; for a model of several files see `model_files.sha256`."""
