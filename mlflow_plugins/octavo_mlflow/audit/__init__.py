"""Check the audit log against the registry, and repair it. Imports `registry`."""
