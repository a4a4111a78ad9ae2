"""Tests and intervals. Imports no other room."""
