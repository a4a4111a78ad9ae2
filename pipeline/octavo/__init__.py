"""Octavo's library: from a Keras model to measured INT8 variants. No MLflow and no DVC in here."""
