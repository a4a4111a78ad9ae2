"""Recipes that write ONNX files."""

SMALL_IN_FLOAT = ("onnx_fp16", "onnx_int8_weight_only")
"""Recipes that make small files that compute in float."""
