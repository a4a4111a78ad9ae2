"""DVC stage `bring`: read a network that was trained elsewhere, check it, and export it as recipes need it."""

import sys

from octavo.brought.bring import bring
from octavo.project import story
from octavo.project.params.params import load_params


@story.stage
def main(name: str) -> str:
    return bring(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
