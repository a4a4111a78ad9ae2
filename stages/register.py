"""DVC stage `register`: the scorecards and model files become runs, models and versions in MLflow."""

import sys

from mlflow_plugins.register import register
from pipeline import errors, layout
from pipeline.params import load_params
from pipeline.scorecard import load_scorecards


def main() -> None:
    with errors.boundary():
        print(register(load_scorecards(layout.SCORECARDS), load_params()), file=sys.stderr)


if __name__ == "__main__":
    main()
