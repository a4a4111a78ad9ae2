"""DVC stage `register`: write scorecards and model files to MLflow, as runs, models and versions."""

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths, story
from octavo.project.params.params import load_params
from octavo_mlflow.registration.register import register


@story.stage
def main() -> str:
    with story.counter("register"):
        return str(register(load_scorecards(paths.SCORECARDS), load_params()))


if __name__ == "__main__":
    main()
