"""DVC stage `check`: the recipe and the options of every variant are checked before anything is trained."""

from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.files import atomic_write
from octavo.project.params.params import load_params
from octavo.quantization import recipes


@boundary()
def main() -> None:
    recipes.check(load_params())
    atomic_write.write_text(paths.OPTIONS_CHECKED, "Each variant's recipe takes its network and its options.\n")


if __name__ == "__main__":
    main()
