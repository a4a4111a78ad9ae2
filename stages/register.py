"""DVC stage `register`: the scorecards and model files become runs, models and versions in MLflow."""

import sys

from mlflow_plugins.register import register
from pipeline import layout
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.scorecard import load_scorecards


@boundary()
def main() -> None:
    print(register(load_scorecards(layout.SCORECARDS), load_params()), file=sys.stderr)


if __name__ == "__main__":
    main()
