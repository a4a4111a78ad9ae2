"""LiteRT behind the contract of all runtimes. Its kernels multiply int8 by int8, widened first: nothing saturates."""

from octavo.backends.backend import Backend
from octavo.backends.litert import inspection, interpreter, layers, stored_integers

BACKEND = Backend(
    open_model=interpreter.open_model,
    interface=inspection.interface,
    parameters=inspection.parameters,
    operators=inspection.operators,
    output_step=inspection.output_step,
    stored_integers=stored_integers.read,
    layer_sqnr=layers.measure,
)
