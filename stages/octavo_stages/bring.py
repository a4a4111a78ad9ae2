"""DVC stage `bring`: read a network that was trained elsewhere, check it, and export it as recipes need it."""

import importlib
import sys

from octavo.brought import pinned
from octavo.project import story
from octavo.project.params.params import load_params


@story.stage
def main(name: str) -> str:
    params = load_params()
    given = params.brought[name]
    if params.why_not_needed(name) is None:
        pinned.require(name, given)
    return str(importlib.import_module(given.module).bring(name, params))


if __name__ == "__main__":
    main(sys.argv[1])
