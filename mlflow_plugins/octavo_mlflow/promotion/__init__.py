"""Aliases moved by policy: promote, approve, roll back, sign. Imports registry and what lies below it."""
