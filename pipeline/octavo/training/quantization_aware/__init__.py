"""Fake quantization in a Keras network: where it goes, which ranges it has, which layers stay in float."""
