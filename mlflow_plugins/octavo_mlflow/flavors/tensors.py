"""The library's reader of a LiteRT file's metadata, under its name in a saved model (see `bundled_code`)."""

from octavo.backends.litert.content.tensors import metadata

__all__ = ["metadata"]
