"""Integers that quantization-aware training learned: recovered, kept exactly, and written as an ONNX graph."""
