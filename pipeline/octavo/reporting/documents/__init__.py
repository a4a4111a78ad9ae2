"""Documents that go with a model file: model card, bill of materials, signature."""
