"""The onnxruntime backend."""

from octavo.backends.backend import Backend
from octavo.backends.onnxruntime import inspection, layers, saturation, session
from octavo.onnx_graph import stored_integers

BACKEND = Backend(
    open_model=session.open_model,
    interface=inspection.interface,
    parameters=inspection.parameters,
    operators=inspection.operators,
    output_step=inspection.output_step,
    stored_integers=stored_integers.read,
    failures=(*session.FAILURES, ValueError, RuntimeError),
    layer_sqnr=layers.measure,
    keeps_layers=True,
    saturation=saturation.measure,
    kernels=lambda *_: "onnxruntime",
)
