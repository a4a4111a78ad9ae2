"""What a network's outputs mean. Imports data, project and statistics."""
