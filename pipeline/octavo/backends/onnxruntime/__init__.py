"""onnxruntime: `.onnx` files and their sessions."""
