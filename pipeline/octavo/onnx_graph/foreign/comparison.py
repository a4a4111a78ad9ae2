"""Compare the network that was read with the file that it was read from: both run on the same examples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from octavo.onnx_graph import file_io
from octavo.project.errors import ModelError

TOLERANCE = 1e-5
"""Largest allowed difference, relative to the range of the outputs."""
STEPS = 0.1
"""The same for networks that round activations."""
EXAMPLES = 64
BATCH = 32
ODD = 7
"""A batch size that no network is written for."""


@dataclass(frozen=True)
class Agreement:
    """How well two networks agree."""

    examples: int
    exact: bool
    """Whether all outputs have the same bits, in batches of the same size."""
    difference: float
    """The largest difference between two outputs, in batches of any size."""
    spread: float
    """The range of the outputs: the largest minus the smallest one."""
    remarks: tuple[str, ...] = ()
    """What a network that was trained with quantization has learned, and what became of it, as sentences."""

    def __str__(self) -> str:
        """For people.

        >>> str(Agreement(64, True, 0.0, 21.5))
        'bit for bit the outputs of the given file on 64 examples'
        """
        if self.exact:
            return f"bit for bit the outputs of the given file on {self.examples} examples"
        share = self.difference / self.spread if self.spread else 0.0
        return (
            f"outputs differ from those of the given file by at most {self.difference:.2g} on {self.examples} "
            f"examples, {share:.1g} of their range"
        )


def compare(given: Path, made: Path, examples: np.ndarray, batch: int | None, rounds: bool = False) -> Agreement:
    """Run both files on the first 64 examples.

    A network that rounds activations may differ by more if a part of it computes in float, in batches of another size:
    the smallest difference can move a value to the next step.

    Args:
        given: the foreign file.
        made: the file that was made from it, with a free batch.
        examples: float32 (N, …), as the network takes them.
        batch: the batch size for which the foreign file was written; None if it was free.
        rounds: whether it rounds activations.

    Raises:
        ModelError: a file cannot be run, outputs are not finite, or the two differ too much.
    """
    examples = examples[:EXAMPLES]
    wanted, got = _both(given, made, examples, batch)
    if not np.isfinite(wanted).all():
        lost = int((~np.isfinite(wanted.reshape(len(wanted), -1)).all(1)).sum())
        raise ModelError(
            f"{given} gives outputs that are NaN or infinite for {lost} of {len(wanted)} examples. Check its weights, "
            "and whether examples are encoded as for its training."
        )
    exact, odd = np.array_equal(wanted, got), _alone(made, examples, given, batch)
    spread = float(wanted.max() - wanted.min())
    difference = max(_largest(wanted, got), _largest(wanted, odd))
    tolerance = STEPS if rounds else TOLERANCE
    if difference > tolerance * spread and difference > 0:
        raise _differs(given, batch, difference, spread, tolerance)
    return Agreement(len(examples), exact, difference, spread)


def _alone(made: Path, examples: np.ndarray, given: Path, batch: int | None) -> np.ndarray:
    """Outputs in batches of another size, where examples have other neighbours."""
    try:
        return _run(made, examples, ODD)
    except ModelError:
        if batch is None:
            raise
        raise ModelError(_fixed(given, batch)) from None


def likeness(given: Path, integers: Path, examples: np.ndarray, batch: int | None) -> str:
    """How the integer form of a quantized network compares with the foreign file, as a clause.

    Args:
        given: the foreign file.
        integers: the integer form.
        examples: as for `compare`.
        batch: as for `compare`.

    Raises:
        ModelError: a file cannot be run.
    """
    wanted, got = _both(given, integers, examples[:EXAMPLES], batch)
    if np.array_equal(wanted, got):
        return f"gives bit for bit the outputs of the given file on {len(wanted)} examples"
    spread, difference = float(wanted.max() - wanted.min()), _largest(wanted, got)
    return (
        f"differs from the given file by at most {difference:.2g} on {len(wanted)} examples, "
        f"{difference / spread if spread else 0.0:.1g} of the range of the outputs"
    )


def _both(given: Path, made: Path, examples: np.ndarray, batch: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of both files, in batches of the same size.

    Args:
        given: the foreign file.
        made: the file that was made from it, with a free batch.
        examples: float32 (N, …).
        batch: the batch size for which the foreign file was written; None if it was free.
    """
    size = batch or min(BATCH, len(examples))
    whole = np.resize(examples, (-(-len(examples) // size) * size, *examples.shape[1:]))
    wanted, got = (run(path, whole, size)[: len(examples)] for run, path in ((_run_given, given), (_run, made)))
    return wanted, got


def _differs(given: Path, batch: int | None, difference: float, spread: float, tolerance: float) -> ModelError:
    found = f"outputs differ by {difference:.2g} at a range of {spread:.2g}, and {tolerance:g} of it is allowed"
    if batch is not None:
        return ModelError(f"{_fixed(given, batch)} (Made free, its {found}.)")
    return ModelError(
        f"{given} does not treat each example by itself, or onnxruntime computes it differently in the form that "
        f"recipes need: {found}. Export it in evaluation mode, with opset 17."
    )


def _fixed(given: Path, batch: int) -> str:
    return f"{given} is written for batches of {batch}, and does not work with others. Export it with a free batch."


def _largest(wanted: np.ndarray, got: np.ndarray) -> float:
    if wanted.shape != got.shape:
        return float("inf")
    return float(np.abs(wanted.astype(np.float64) - got).max(initial=0))


def _run_given(path: Path, examples: np.ndarray, size: int) -> np.ndarray:
    """As `_run`, for a file as it was given. onnxruntime does not load every file with external data."""
    try:
        return _run(path, examples, size)
    except ModelError as error:
        beside = file_io.named_beside(path)
        if not beside or "external" not in str(error):
            raise
        raise ModelError(
            f"onnxruntime does not load {path}, because even its shapes are in {beside[0].name}. Keep small values in "
            f"the file itself: onnx.save(onnx.load({path.name!r}), 'new.onnx')."
        ) from None


def _run(path: Path, examples: np.ndarray, size: int) -> np.ndarray:
    """Outputs in batches of `size`; the last one may be smaller."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
        parts = [examples[start : start + size] for start in range(0, len(examples), size)]
        outputs = [np.asarray(session.run(None, {source.name: part})[0]) for part in parts]
    except Exception as error:  # noqa: BLE001 - onnxruntime has a different exception for every kind of failure
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise ModelError(f"onnxruntime cannot run {path}: {said}.") from None
    if any(output.ndim == 0 or len(output) != len(part) for output, part in zip(outputs, parts, strict=True)):
        raise ModelError(
            f"{path} gives outputs of shape {outputs[0].shape} for {len(parts[0])} examples, and one row for each is "
            "needed. Export it with the batch as the first axis."
        )
    return np.concatenate(outputs)
