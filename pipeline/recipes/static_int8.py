"""ONNX in integers throughout: int8 weights, uint8 activations with ranges seen over the calibration split.

The QDQ form with uint8 activations is the one that runs well everywhere: the QOperator form with int8 activations
takes 3.5 to 7 times FP32's time on x86. With `search` the way to quantize is found by trial, with `repair` layers go
back to float until accuracy is within its limit; each trial is a row of `trials.csv` beside the model.
"""

from pathlib import Path

import onnx
from pydantic import NonNegativeInt

from pipeline import canonical, files, layout, qdq, quantizer
from pipeline.calibration import METHODS
from pipeline.errors import ParamsError
from pipeline.params import Model
from pipeline.search import Repair, Search, repair, search
from pipeline.splits import Samples
from pipeline.trials import Bench, Choice


class Options(Model):
    method: str = Choice().method
    per_channel: bool = True
    bias_correction: bool = False
    equalize: bool = False
    float_layers: tuple[NonNegativeInt, ...] = ()
    """Layers with weights to leave in float, counted from 0 in graph order: the first ones are often faster so."""
    take_bytes: bool = False
    """Take uint8 images 0..255 instead of float32 0..1."""
    search: Search | None = None
    repair: Repair | None = None


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    for method in (options.method, *(options.search.methods if options.search else ())):
        if method not in METHODS:
            raise ParamsError(f"Unknown calibration method '{method}'. Known: {', '.join(METHODS)}.")
    model = canonical.load(exported / "model.onnx")
    qdq.fuse_gemm(model)
    bench = Bench(model, samples, layout.TRIALS)
    choice = Choice(
        method=options.method,
        per_channel=options.per_channel,
        bias_correction=options.bias_correction,
        equalize=options.equalize,
        left=_names(model, options.float_layers),
    )
    if options.search:
        choice = search(bench, choice, options.search)
    if options.repair:
        choice = repair(bench, choice, options.repair, options.search.workers if options.search else 1)
    if bench.trials:
        files.write_text(target.with_name(layout.TRIALS_CSV), bench.table().to_csv(float_format="%.6f"))
    quantized = bench.quantize(choice)
    if options.take_bytes:
        quantizer.take_bytes(quantized)
    canonical.save(quantized, target)


def _names(model: onnx.ModelProto, places: tuple[int, ...]) -> tuple[str, ...]:
    layers = quantizer.layers(model)
    if beyond := [place for place in places if place >= len(layers)]:
        raise ParamsError(f"float_layers has {beyond[0]}, but the network has {len(layers)} layers, counted from 0.")
    return tuple(layers[place] for place in places)
