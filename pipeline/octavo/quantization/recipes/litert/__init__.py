"""Recipes that write LiteRT files. Besides `octavo.training` the only place with TensorFlow."""
