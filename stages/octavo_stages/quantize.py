"""DVC stage `quantize`: make one variant from its exported network, or record why its file is refused."""

import sys

from octavo.project import story
from octavo.project.params.params import load_params
from octavo.quantization.make import make


@story.stage
def main(name: str) -> str:
    return make(name, load_params())


if __name__ == "__main__":
    main(sys.argv[1])
