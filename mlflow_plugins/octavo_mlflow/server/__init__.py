"""MLflow's server with the gate. Imports registry and what lies below it."""
