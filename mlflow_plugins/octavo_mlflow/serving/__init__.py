"""Serve models on this machine. Imports `flavors` and the rooms below it."""
