"""The only room with MLflow."""
