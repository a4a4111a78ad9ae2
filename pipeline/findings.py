"""What is found by looking into a model file: its tensors, its layers, and what it computes in."""

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tensor(Finding):
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


class Interface(Finding):
    """How a model file is called."""

    input: Tensor
    output: Tensor
    session_options: dict[str, str] = {}
    """Of onnxruntime, which the file asks for; Octavo sets them, elsewhere they have to be set by hand."""


class FloatNode(Finding):
    name: str
    operator: str
    why: str


class Saturation(Finding):
    """A layer whose sums of two products can leave 16 bits, where a CPU without VNNI cuts them off."""

    layer: str
    possible: float
    """Share of the pairs of weights that would, beside activations of 255."""
    share: float
    """Share of all such sums that did, on calibration images."""


class Proof(Finding):
    """What counts as a weight and as a multiply-accumulate is said in `pipeline.operators`."""

    integer_weight_share: float | None
    """Share of weight elements that are stored as integers; None where an unknown operator may hold more of them."""
    integer_compute_share: float | None
    """Share of multiply-accumulates that run in integer kernels; None where not all can be counted."""
    float_nodes: list[FloatNode]
    uncounted: list[FloatNode] = []
    """Operators whose multiply-accumulates, or how often they run, are unknown."""
    saturation: list[Saturation] | None = None
    """Layers at risk on x86 CPUs without VNNI; None where the runtime does not add in 16 bits."""
