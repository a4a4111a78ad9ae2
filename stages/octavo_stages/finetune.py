"""DVC stage `finetune`: train a network further, in float or with fake quantization, and export the result."""

import sys

from octavo.project import story
from octavo.project.params.params import load_params
from octavo.training.finetune import finetune


@story.stage
def main(name: str) -> str:
    return finetune(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
