"""The files of `litert_fp16_tensorflow`."""

from octavo.quantization.recipes.litert.fp16_tensorflow import Options, quantize

__all__ = ["Options", "quantize"]
