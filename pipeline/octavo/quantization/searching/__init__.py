"""Search for the best way to quantize a network, by trials on the selection split."""
