"""DVC stage `register`: the scorecards and model files become runs, models and versions in MLflow."""

import sys

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params.params import load_params
from octavo_mlflow.registration.register import register


@boundary()
def main() -> None:
    print(register(load_scorecards(paths.SCORECARDS), load_params()), file=sys.stderr)


if __name__ == "__main__":
    main()
