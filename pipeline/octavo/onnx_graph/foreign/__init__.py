"""Float networks that other programs wrote as ONNX: what is accepted, and how it becomes what recipes start from."""
