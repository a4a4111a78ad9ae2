"""What was tried against Octavo, how often, and what came of it: `python -m benchmarks.attacks`."""
