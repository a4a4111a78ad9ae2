"""DVC stage `code`: write one digest per stage over its code and libraries, and which networks are needed."""

from octavo.project import story
from octavo.project.code import stages
from octavo.project.params.params import load_params


@story.stage
def main() -> str:
    stages.write(load_params())
    return "code: one digest per stage"


if __name__ == "__main__":
    main()
