"""Static quantization as recipes offer it: by the options given, by search, and with repair."""

from pathlib import Path

import onnx
from pydantic import NonNegativeInt

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input, preparation
from octavo.project import paths, story
from octavo.project.files import atomic_write
from octavo.project.params.section import Model
from octavo.quantization import ptq, rounding
from octavo.quantization.searching.search import Method, Repair, Search, repair, search
from octavo.quantization.searching.trial_runner import Bench
from octavo.quantization.searching.trials import Choice


class StaticOptions(Model):
    method: Method = Choice().method
    per_channel: bool = True
    bias_correction: bool = True
    """Correct the biases for the shift that rounding causes in each layer's mean output. Channels with little variation
    need it."""
    equalize: bool = False
    float_layers: tuple[NonNegativeInt, ...] = ()
    """Indices of layers with weights that stay in float, from 0 in graph order. The first layers are often faster in
    float."""
    take_bytes: bool = False
    """The model takes uint8 images 0..255 as they are stored, and does itself what the input encoding says."""
    search: Search | None = None
    repair: Repair | None = None


def quantized(
    exported: Path, target: Path, samples: Samples, options: StaticOptions, kernels: ptq.Kernels
) -> onnx.ModelProto:
    """The network in full integer form, as an ONNX graph. If there were trials, `trials.csv` is written.

    Args:
        exported: folder with `model.onnx`.
        target: the model file; `trials.csv` lies next to it.
        samples: calibration images for ranges and biases; selection images to judge trials.
        options: the method, or how to search for it.
        kernels: of the runtime that the file is for.

    Raises:
        NotFinite: a trial is needed, and the network gives logits that are NaN or infinite.
        ModelError: an activation is NaN or infinite, or float images do not fit the option `take_bytes`.
        ParamsError: `float_layers` names a layer that the network does not have.
    """
    if options.take_bytes:
        network_input.require(samples.calibration)
    model = canonicalize.load(exported / "model.onnx")
    preparation.prepare(model)
    bench = Bench(model, samples, paths.TRIALS, kernels)
    choice = Choice(
        method=options.method,
        per_channel=options.per_channel,
        bias_correction=options.bias_correction and options.search is None,  # a search tries both
        equalize=options.equalize,
        left=ptq.layers_at(model, options.float_layers, kernels),
    )
    if options.search:
        choice = search(bench, choice, options.search)
    if options.repair:
        choice = repair(bench, choice, options.repair, options.search.workers if options.search else 1)
        if choice.left:
            named = {node.output[0]: node.doc_string or node.output[0] for node in model.graph.node}
            story.say(f"Left in float: {', '.join(named[layer] for layer in choice.left)}.")
    if bench.trials:
        atomic_write.write_text(target.with_name(paths.TRIALS_CSV), bench.table())
    made = bench.quantize(choice)
    rounding.settle(made)
    if options.take_bytes:
        network_input.take_bytes(made)
    return made
