"""DVC stage `code`: which code and libraries each stage runs, as a digest each, and which networks are needed."""

from octavo.project import stage_code
from octavo.project.errors import boundary
from octavo.project.params.params import load_params


@boundary()
def main() -> None:
    stage_code.write(load_params())


if __name__ == "__main__":
    main()
