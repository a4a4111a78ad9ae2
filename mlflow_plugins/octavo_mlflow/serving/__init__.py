"""Deployments on this machine. Imports flavors and what lies below it."""
