"""One network in one form: its LiteRT file, the ONNX twin, and the converter's file."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from benchmarks.twins import elsewhere, file_format, written
from octavo.backends import latency, predictor, registry
from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo.data.splits import load_split
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input
from octavo.quantization import recipes
from octavo.quantization.litert.writing import write

FORMS = {"static": "fp32", "qat": "qat"}
"""Form -> the network that it starts from."""
OWN, TWIN, CONVERTER = "written", "twin", "converter"
REFERENCE, ELSEWHERE = 1000, 200
"""First images of the test split that slower kernels run on."""
WRITINGS = 7
"""Files that are written to tell the time of one."""
OPENINGS = 9
"""How often both files are opened to be timed."""

Row = dict[str, Any]


def recipe(role: str, form: str) -> str:
    """The recipe of one of the three files."""
    return {
        OWN: f"litert_int8_{form}",
        TWIN: f"onnx_int8_{form}",
        CONVERTER: f"litert_int8_{form}_tensorflow",
    }[role]


def compare(name: str, form: str, folder: Path, work: Path, python: str, rounds: int) -> Row:
    """One column of the table.

    Args:
        name: of the network.
        form: `static` or `qat`.
        folder: trained networks, and splits in `data`.
        work: a folder for the files.
        python: an interpreter that has TFLite Micro and OpenVINO, or has not.
        rounds: of timing.
    """
    exported, samples = folder / name / FORMS[form], written.samples(folder / "data")
    files = {role: work / name / form / role / "model" for role in (OWN, TWIN, CONVERTER)}
    files = {role: path.with_suffix(".onnx" if role == TWIN else ".tflite") for role, path in files.items()}
    for role, path in files.items():
        recipes.quantize(recipe(role, form), exported, path, samples, {})
    images = load_split(folder / "data" / "test").images
    row: Row = {"network": name, "form": form}
    row |= {f"{role}_bytes": path.stat().st_size for role, path in files.items()}
    row["milliseconds"], row["from_twin"] = _written(files[TWIN], files[OWN], samples.calibration)
    row["identical"] = written.is_same(files[OWN], recipe(OWN, form), exported, folder / "data")
    row |= equality(files[OWN], files[TWIN], images, python)
    row["arena_bytes_converter"] = _arena(files[CONVERTER], images[:1], python)
    row["verified"] = file_format.verified(files[OWN])
    row["unaligned_buffers"] = file_format.unaligned(files[OWN])
    row["delegates"], row["one_part"] = file_format.delegates(files[OWN])
    row["delegates_converter"], _ = file_format.delegates(files[CONVERTER])
    return row | _timed(files, images[:1], rounds)


def _written(twin: Path, path: Path, images: np.ndarray) -> tuple[float, bool]:
    """Milliseconds, the median of several, that it takes to write the graph of the twin as LiteRT, and whether that
    gives the file at `path`.
    """
    model = canonicalize.load(twin)
    example = encode(images[:1], network_input.encoding(model)).shape[1:]
    seconds, content = [], b""
    for _ in range(WRITINGS):
        start = time.perf_counter()
        content = write(model, example).content
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds), content == path.read_bytes()


def _timed(files: Mapping[str, Path], images: np.ndarray, rounds: int) -> Row:
    """Latency of the file, and its ratio to the converter's.

    Both are opened anew several times, because where their tensors happen to lie in memory matters: one file opened
    twice can differ by 5% from itself, at each call. The ratio is the median of the openings, its range that of all.
    """
    figures = []
    for opening in range(OPENINGS):
        roles = (OWN, CONVERTER) if opening % 2 else (CONVERTER, OWN)
        timed = {role: open_model(files[role]) for role in roles}
        figures.append(latency.measure(timed, CONVERTER, images, 1, rounds, seed=opening)[OWN])
    ratios = sorted(figure.ratio for figure in figures)
    return {
        "p50_us": statistics.median(figure.p50_us for figure in figures),
        "latency_ratio": statistics.median(ratios),
        "latency_ratio_range": [ratios[0], ratios[-1]],
    }


def equality(path: Path, twin: Path, images: np.ndarray, python: str) -> Row:
    """Shares of output codes and of decisions that are the ONNX twin's, by the kernels that ran the LiteRT file.

    Args:
        path: the LiteRT file, whose input and output are float32.
        twin: the ONNX file of the same integers, which onnxruntime runs.
        images: of the test split; slower kernels run the first ones.
        python: an interpreter that has TFLite Micro and OpenVINO, or has not.
    """
    step = registry.backend_of(path).output_step(path)
    assert step, "the output of a file in integers has a scale"
    wanted = predictor.logits(open_model(twin), images)
    predict = open_model(path)
    row: Row = {"output_step": step, "xnnpack": _equal(predictor.logits(predict, images), wanted, step)}
    row["reference"] = _equal(_reference(path, predict.feed(images[:REFERENCE])), wanted[:REFERENCE], step)
    for runtime in (elsewhere.TFLITE_MICRO, elsewhere.OPENVINO):
        found = elsewhere.run(runtime, python, path, predict.feed(images[:ELSEWHERE]))
        fault = {"fault": found.fault}
        row[runtime] = fault if found.outputs is None else _equal(found.outputs, wanted[:ELSEWHERE], step)
        if found.arena is not None:
            row["arena_bytes"] = found.arena
    return row


def _equal(got: np.ndarray, wanted: np.ndarray, step: float) -> Row:
    """How much of (N, classes) logits is equal, as whole numbers of steps, and how far off the others are."""
    off = np.abs(np.rint(got / step) - np.rint(wanted / step))
    decided = got.argmax(1) == wanted.argmax(1)
    return {
        "n": len(got),
        "codes": float((off == 0).mean()),
        "decisions": int(decided.sum()),
        "steps_off": int(off.max()),
    }


def _reference(path: Path, fed: np.ndarray) -> np.ndarray:
    """Logits by LiteRT's reference kernels."""
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], fed.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], fed)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(target["index"]))


def _arena(path: Path, images: np.ndarray, python: str) -> int | None:
    """Bytes that TFLite Micro takes beside the file; None where it is not installed or cannot run it."""
    return elsewhere.run(elsewhere.TFLITE_MICRO, python, path, open_model(path).feed(images)).arena
