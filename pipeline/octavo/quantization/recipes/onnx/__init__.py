"""Recipes that write ONNX files."""
