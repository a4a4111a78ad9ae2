"""Make a decision from scorecards and a policy, and record it. Imports `evaluation` and the rooms below it."""
