"""The team's own DVC stages."""
