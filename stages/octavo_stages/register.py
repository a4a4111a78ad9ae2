"""DVC stage `register`: the scorecards and model files become runs, models and versions in MLflow."""

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths, story
from octavo.project.params.params import load_params
from octavo_mlflow.registration.register import register


@story.stage
def main() -> str:
    return str(register(load_scorecards(paths.SCORECARDS), load_params()))


if __name__ == "__main__":
    main()
