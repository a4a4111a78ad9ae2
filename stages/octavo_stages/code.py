"""DVC stage `code`: which code and libraries each stage runs, as a digest each, and which networks are needed."""

from octavo.project import story
from octavo.project.code import stages
from octavo.project.params.params import load_params


@story.stage
def main() -> str:
    stages.write(load_params())
    return "code: a digest for each stage"


if __name__ == "__main__":
    main()
