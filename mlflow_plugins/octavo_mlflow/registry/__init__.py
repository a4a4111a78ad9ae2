"""Registered models: versions, aliases, audit log and users. Imports `tracking`."""
