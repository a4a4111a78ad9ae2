"""The files of `litert_int8_dynamic_tensorflow`."""

from octavo.quantization.recipes.litert.int8_dynamic_tensorflow import Options, quantize

__all__ = ["Options", "quantize"]
