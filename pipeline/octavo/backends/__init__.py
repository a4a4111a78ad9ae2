"""How a model file runs, and what is in it: one folder a runtime. Imports onnx_graph, tasks and what lies below."""
