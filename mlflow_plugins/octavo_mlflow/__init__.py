"""The only room with MLflow.

MLflow sends usage data by default. Octavo runs unattended in other people's networks, so it switches that off,
here, because this module is read before any of the room imports MLflow. `MLFLOW_DISABLE_TELEMETRY=false` wins.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
