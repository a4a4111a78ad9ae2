"""MLflow's server with Octavo's gate. Imports `registry` and the rooms below it."""
