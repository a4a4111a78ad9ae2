"""From a variant to its scorecard. May import backends and the floors below."""
