"""Register scorecards in MLflow as runs, models and versions. Imports `flavors` and the rooms below it."""
