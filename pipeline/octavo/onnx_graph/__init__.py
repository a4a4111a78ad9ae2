"""Read, write and change ONNX graphs. Imports `data` and `project`."""
