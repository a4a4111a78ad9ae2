"""What goes with a model file: model card, bill of materials, signature."""
