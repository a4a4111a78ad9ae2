"""What the user gives: the network, and the examples, divided and brought into the form of its input."""
