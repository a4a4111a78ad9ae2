"""The files of `litert_int8_qat_tensorflow`."""

from octavo.quantization.recipes.litert.int8_qat_tensorflow import LEARNED, Options, quantize

__all__ = ["LEARNED", "Options", "quantize"]
