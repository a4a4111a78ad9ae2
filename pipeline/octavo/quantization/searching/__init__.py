"""Ways to quantize a network, tried on the selection split; the best one wins."""
