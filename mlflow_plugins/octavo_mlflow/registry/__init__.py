"""A registered model: its versions, aliases, audit log and people. Imports mutex and tracking."""
