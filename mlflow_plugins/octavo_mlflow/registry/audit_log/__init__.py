"""The audit log in MLflow, the run that holds it, and this machine's copy. Imports the rest of `registry`."""
