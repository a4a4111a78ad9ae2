"""Training of one network: the loop, its optimizer, changes of the images and weights of the classes."""
