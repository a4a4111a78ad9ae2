"""LiteRT files beside their ONNX twins and beside the converter's files: `python -m benchmarks.twins`."""
