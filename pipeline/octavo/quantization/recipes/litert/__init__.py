"""Recipes that write LiteRT files. Those whose name ends in `_tensorflow` run TensorFlow's converter."""

SMALL_IN_FLOAT = ("litert_fp16",)
"""Recipes that make small files that compute in float."""
