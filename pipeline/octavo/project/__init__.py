"""The user's project: params, paths, errors, git, files. Imports no other room."""
