"""Write a LiteRT file straight from an ONNX graph, float or quantized. No converter, no TensorFlow.

It is our own because converters choose ranges of their own, so that the two files of one network give other answers.
"""
