"""The library's function for exact sums, under the name that it has in a saved model (see `bundled_code`)."""

from octavo.backends.onnxruntime.exact_sums import decided

__all__ = ["decided"]
