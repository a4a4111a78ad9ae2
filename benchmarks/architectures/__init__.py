"""Networks of many architectures through every recipe: `python -m benchmarks.architectures`."""
