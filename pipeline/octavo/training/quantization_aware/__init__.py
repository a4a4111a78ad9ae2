"""Fake quantization in a Keras network: where it is inserted, which ranges it has, which layers stay in float."""
