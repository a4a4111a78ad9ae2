"""Which kernels compute a LiteRT file: XNNPACK by default, and other sets to compare with it."""
