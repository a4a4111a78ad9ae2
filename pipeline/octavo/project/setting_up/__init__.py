"""A user's repository: `octavo init` brings Octavo into it, `octavo upgrade` renews it, `octavo doctor` examines it."""
