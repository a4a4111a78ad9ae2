"""LiteRT files by TensorFlow's converter, and repairs of what it writes. Only `process` imports TensorFlow."""
