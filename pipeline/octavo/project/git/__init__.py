"""The project in git: the present commit, and tags for promoted versions."""
