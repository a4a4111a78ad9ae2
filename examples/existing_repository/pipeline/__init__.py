"""The team's own library."""
