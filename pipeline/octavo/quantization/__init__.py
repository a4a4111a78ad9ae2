"""From a network to a variant: calibration, search, recipes. Imports backends and what lies below it."""
