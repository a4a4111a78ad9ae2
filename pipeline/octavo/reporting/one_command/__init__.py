"""`octavo quantize`: a float ONNX file and data become measured model files, without a project. May import any room."""
