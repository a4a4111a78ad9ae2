"""DVC stage `network`: build, train and export one network."""

import sys

from octavo.project import story
from octavo.project.params.params import load_params
from octavo.training.build import build


@story.stage
def main(name: str) -> str:
    return build(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
