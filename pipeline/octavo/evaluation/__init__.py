"""From a variant to its scorecard. Imports backends and what lies below it."""
