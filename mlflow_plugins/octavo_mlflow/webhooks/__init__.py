"""Trigger deployments by promotions. Imports `registry` and the rooms below it."""
