"""MLflow's tracking store: where it is, and which data and code a run came from. Imports no other room."""
