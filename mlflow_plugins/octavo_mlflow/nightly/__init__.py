"""The nightly run: refresh data, build, judge, promote, notify. Imports `promotion` and the rooms below it."""
