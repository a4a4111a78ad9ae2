"""MLflow's model evaluator `quantization`. Imports `flavors` and the rooms below it."""
