"""ONNX in full integer form: int8 weights, and uint8 activations with ranges from the calibration split.

The QDQ format with uint8 activations is fast on all CPUs. The QOperator format with int8 activations takes 3.5 to 7
times as long as FP32 on x86. With `search`, the method is found by trial. With `repair`, layers go back to float until
the accuracy drop is within its limit. Each trial is a row of `trials.csv` next to the model file.
"""

from pathlib import Path

from pydantic import NonNegativeInt

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input, preparation
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


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    """Write an ONNX file in full integer form, and `trials.csv` next to it if there were trials.

    Args:
        exported: folder with `model.onnx`.
        target: the file to write.
        samples: calibration images for ranges and biases; selection images to judge trials.
        options: the method, or how to search for it.

    Raises:
        NotFinite: a trial is needed, and the network gives logits that are NaN or infinite.
        ModelError: an activation is NaN or infinite, or float images do not fit the option `take_bytes`.
        ParamsError: `float_layers` names a layer that the network does not have.
    """
    if options.take_bytes:
        network_input.require(samples.calibration)
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
            story.say(f"Left in float: {', '.join(named[layer] for layer in choice.left)}.")
    if bench.trials:
        atomic_write.write_text(target.with_name(paths.TRIALS_CSV), bench.table())
    quantized = bench.quantize(choice)
    if options.take_bytes:
        network_input.take_bytes(quantized)
    canonicalize.save(quantized, target)
