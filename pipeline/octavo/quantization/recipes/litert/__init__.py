"""Recipes that write LiteRT files. Besides `octavo.training` the only place with TensorFlow."""

SMALL_IN_FLOAT = ("litert_fp16",)
"""Recipes that make small files which compute in float."""
