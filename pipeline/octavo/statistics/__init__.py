"""Statistical tests and intervals. Imports no other room."""
