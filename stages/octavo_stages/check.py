"""DVC stage `check`: every variant's recipe and options, held to each other before anything is trained."""

from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.files import atomic_write
from octavo.project.params import load_params
from octavo.quantization import recipes


@boundary()
def main() -> None:
    variants = load_params().variants
    for name in sorted(variants, key=lambda name: name.startswith("litert")):  # last, they take TensorFlow to load
        recipes.check(name, variants[name])
    atomic_write.write_text(paths.OPTIONS_CHECKED, "Each variant's recipe takes its source and its options.\n")


if __name__ == "__main__":
    main()
