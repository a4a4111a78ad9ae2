"""DVC stage `check`: every variant's recipe and options, held to each other before anything is trained."""

from pipeline import files, layout, recipes
from pipeline.errors import boundary
from pipeline.params import load_params


@boundary()
def main() -> None:
    variants = load_params().variants
    for name in sorted(variants, key=lambda name: name.startswith("litert")):  # last, they take TensorFlow to load
        recipes.check(name, variants[name])
    files.write_text(layout.OPTIONS_CHECKED, "Each variant's recipe takes its source and its options.\n")


if __name__ == "__main__":
    main()
