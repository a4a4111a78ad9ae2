"""A mutex: only one process at a time changes a registered model. Imports no other room."""
