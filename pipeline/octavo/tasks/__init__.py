"""What a network's outputs mean. May import data, project and statistics."""
