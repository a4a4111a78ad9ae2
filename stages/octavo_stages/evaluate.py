"""DVC stage `evaluate`: measure quality, size and integer coverage of one variant on the test split."""

import sys

from octavo.evaluation.evaluate import evaluate
from octavo.project import story
from octavo.project.params.params import load_params


@story.stage
def main(name: str) -> str:
    return evaluate(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
