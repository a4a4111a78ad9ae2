"""The models of `params.yaml`: one module per section, and one for the whole file."""
