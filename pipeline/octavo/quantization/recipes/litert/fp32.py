"""The files of `litert_fp32_tensorflow`."""

from octavo.quantization.recipes.litert.fp32_tensorflow import Options, quantize

__all__ = ["Options", "quantize"]
