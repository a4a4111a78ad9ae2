"""Networks that another program trained with quantization: their learned scales, zero points and integers are kept."""
