"""The night: refresh data, build, judge, promote, tell. Imports promotion and what lies below it."""
