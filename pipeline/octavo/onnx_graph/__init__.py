"""ONNX graphs: read, written and changed. Imports data and project."""
