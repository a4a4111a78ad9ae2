"""The LiteRT backend. It measures no saturation: LiteRT's kernels widen int8 values before they multiply them."""

from octavo.backends.backend import Backend
from octavo.backends.litert import inspection, interpreter, layers, stored_integers
from octavo.backends.litert.kernels import default, others

BACKEND = Backend(
    open_model=interpreter.open_model,
    interface=inspection.interface,
    parameters=inspection.parameters,
    operators=inspection.operators,
    output_step=inspection.output_step,
    stored_integers=stored_integers.read,
    layer_sqnr=layers.measure,
    kernels=default.name,
    other_kernels=others.outputs,
)
