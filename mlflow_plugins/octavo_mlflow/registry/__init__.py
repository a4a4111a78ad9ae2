"""Registered models: versions, aliases, audit log and users. Imports `mutex` and `tracking`."""
