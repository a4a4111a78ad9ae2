"""The audit log held to the registry, and repaired. Imports registry and mutex."""
