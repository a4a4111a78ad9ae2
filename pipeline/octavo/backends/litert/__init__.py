"""LiteRT: `.tflite` files and their interpreter."""
