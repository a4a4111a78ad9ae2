"""Scorecards become runs, models and versions. Imports flavors and what lies below it."""
