"""Improve a LiteRT file after TensorFlow's converter has written it."""
