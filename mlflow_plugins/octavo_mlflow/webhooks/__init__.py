"""Promotions trigger deployments. Imports registry and what lies below it."""
