"""ONNX in integers throughout: int8 weights, uint8 activations with ranges seen over the calibration split.

The QDQ form with uint8 activations is the one that runs well everywhere: the QOperator form with int8 activations
takes 3.5 to 7 times FP32's time on x86. With `search` the way to quantize is found by trial, with `repair` layers go
back to float until accuracy is within its limit; each trial is a row of `trials.csv` beside the model.
"""

from pathlib import Path

from pydantic import NonNegativeInt

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, uint8_input
from octavo.onnx_graph.rewrites import preparation
from octavo.project import paths, story
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization import ptq
from octavo.quantization.searching.search import Method, Repair, Search, repair, search
from octavo.quantization.searching.trial_runner import Bench
from octavo.quantization.searching.trials import Choice


class Options(Model):
    method: Method = Choice().method
    per_channel: bool = True
    bias_correction: bool = True
    """Let biases make up for what rounding shifts each layer's mean output by; channels that hardly vary need it."""
    equalize: bool = False
    float_layers: tuple[NonNegativeInt, ...] = ()
    """Layers with weights to leave in float, counted from 0 in graph order: the first ones are often faster so."""
    take_bytes: bool = False
    """Take uint8 images 0..255 instead of float32 0..1."""
    search: Search | None = None
    repair: Repair | None = None


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    if options.take_bytes:
        uint8_input.require(samples.calibration)
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    bench = Bench(model, samples, paths.TRIALS)
    choice = Choice(
        method=options.method,
        per_channel=options.per_channel,
        bias_correction=options.bias_correction and options.search is None,  # a search tries both
        equalize=options.equalize,
        left=ptq.layers_at(model, options.float_layers),
    )
    if options.search:
        choice = search(bench, choice, options.search)
    if options.repair:
        choice = repair(bench, choice, options.repair, options.search.workers if options.search else 1)
        if choice.left:
            named = {node.output[0]: node.doc_string or node.output[0] for node in model.graph.node}
            story.say(f"In float: {', '.join(named[layer] for layer in choice.left)}.")
    if bench.trials:
        atomic_write.write_text(target.with_name(paths.TRIALS_CSV), bench.table())
    quantized = bench.quantize(choice)
    if options.take_bytes:
        uint8_input.take_bytes(quantized)
    canonicalize.save(quantized, target)
