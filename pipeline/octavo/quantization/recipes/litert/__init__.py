"""Recipes that write LiteRT files. Only this package and `octavo.training` import TensorFlow."""

SMALL_IN_FLOAT = ("litert_fp16",)
"""Recipes that make small files that compute in float."""
