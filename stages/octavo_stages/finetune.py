"""DVC stage `finetune`: one network is trained on from another, in float or with fake quantization, and exported."""

import sys

from octavo.project import story
from octavo.project.params.params import load_params
from octavo.training.finetune import finetune


@story.stage
def main(name: str) -> str:
    return finetune(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
