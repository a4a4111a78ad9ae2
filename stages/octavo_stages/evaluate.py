"""DVC stage `evaluate`: one variant meets the sealed test split."""

import sys

from octavo.evaluation.evaluate import evaluate
from octavo.project.errors import boundary
from octavo.project.params.params import load_params


@boundary()
def main(name: str) -> None:
    evaluate(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
