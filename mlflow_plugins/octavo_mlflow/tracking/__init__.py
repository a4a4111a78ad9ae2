"""MLflow's tracking store: where it is, and where runs and data come from. Imports no other room."""
