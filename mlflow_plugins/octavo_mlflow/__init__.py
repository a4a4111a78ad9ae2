"""The MLflow plugin: the only package that imports MLflow.

MLflow sends usage data by default. Octavo runs unattended in other people's networks, so this module switches it off.
It does so here because Python reads this module before any other of the package imports MLflow. A user who sets
`MLFLOW_DISABLE_TELEMETRY=false` keeps it on.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
