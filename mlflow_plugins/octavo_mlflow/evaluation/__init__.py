"""MLflow's model evaluator for quantized models."""
