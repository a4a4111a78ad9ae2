"""`params.yaml`: its sections, one module each, and the whole."""
