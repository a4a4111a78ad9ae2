"""Runs and inspects model files, one folder per runtime. May import onnx_graph, tasks and the floors below."""
