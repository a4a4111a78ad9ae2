"""The user's project: params, paths, errors, git and files. Imports no other room."""
