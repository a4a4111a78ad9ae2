"""Read images from a source, split them, and describe the splits in a manifest. Imports `project` and `statistics`."""
