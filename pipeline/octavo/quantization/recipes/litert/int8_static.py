"""The files of `litert_int8_static_tensorflow`."""

from octavo.quantization.recipes.litert.int8_static_tensorflow import Options, quantize

__all__ = ["Options", "quantize"]
