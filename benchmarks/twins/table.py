"""The table: a column for each network and form, a line for each figure."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

Row = dict[str, Any]
CAPTION = (
    "twin: the ONNX file of the same integers; converter: TensorFlow's; codes, decisions: share of outputs and number "
    "of images that are as onnxruntime has them for the twin; delegates: parts that XNNPACK runs"
)


def table(rows: Sequence[Row]) -> Table:
    """All figures of all rows."""
    made = Table("", *(f"{row['network']}\n{row['form']}" for row in rows), caption=CAPTION)
    for label, cell in LINES.items():
        made.add_row(label, *(cell(row) for row in rows), end_section=label in SECTIONS)
    return made


def _equality(kernels: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        found = row[kernels]
        if "fault" in found:
            return str(found["fault"])
        off = f", {found['steps_off']} off" if found["steps_off"] else ""
        return f"{found['codes']:.3%}{off}\n{found['decisions']:,} of {found['n']:,}"

    return cell


def _number(name: str) -> Callable[[Row], str]:
    return lambda row: "" if row.get(name) is None else f"{row[name]:,}"


def _ratio(over: str, under: str) -> Callable[[Row], str]:
    return lambda row: f"{row[over] / row[under]:.3f}" if row.get(over) and row.get(under) else ""


def _answer(name: str) -> Callable[[Row], str]:
    return lambda row: "yes" if row[name] else "NO"


def _latency(row: Row) -> str:
    low, high = row["latency_ratio_range"]
    return f"{row['latency_ratio']:.3f}\n{low:.3f} to {high:.3f}"


LINES: dict[str, Callable[[Row], str]] = {
    "bytes": _number("written_bytes"),
    "bytes of twin": _number("twin_bytes"),
    "÷ twin": _ratio("written_bytes", "twin_bytes"),
    "bytes of converter's": _number("converter_bytes"),
    "÷ converter's": _ratio("written_bytes", "converter_bytes"),
    "ms to write": lambda row: f"{row['milliseconds']:.1f}",
    "written from the twin's graph": _answer("from_twin"),
    "same bytes again": _answer("identical"),
    "codes, decisions: XNNPACK": _equality("xnnpack"),
    "reference kernels": _equality("reference"),
    "TFLite Micro": _equality("tflite_micro"),
    "OpenVINO": _equality("openvino"),
    "delegates": _number("delegates"),
    "one from input to output": _answer("one_part"),
    "of converter's": _number("delegates_converter"),
    "µs, batch 1": lambda row: f"{row['p50_us']:.0f}",
    "÷ converter's, range": _latency,
    "arena, bytes": _number("arena_bytes"),
    "arena of converter's": _number("arena_bytes_converter"),
    "verified": _answer("verified"),
    "buffers not aligned": _number("unaligned_buffers"),
}
SECTIONS = {
    "÷ converter's",
    "same bytes again",
    "OpenVINO",
    "of converter's",
    "÷ converter's, range",
    "arena of converter's",
}
"""Lines under which there is a rule."""
