"""Rewrites of a float ONNX graph that preserve its results."""
