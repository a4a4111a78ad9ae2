"""From a network to a variant: calibration, search and recipes. Imports backends and the rooms below it."""
