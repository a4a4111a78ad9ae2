"""DVC stage `check`: check the recipe and the options of every variant before anything is trained."""

from octavo.brought import pinned
from octavo.project import paths, story
from octavo.project.files import atomic_write
from octavo.project.params.params import load_params
from octavo.quantization import recipes


@story.stage
def main() -> str:
    params = load_params()
    pinned.require_all(params)
    recipes.check(params)
    atomic_write.write_text(paths.OPTIONS_CHECKED, "Each variant's recipe takes its network and its options.\n")
    return f"check: recipes and options of {len(params.variants)} variants are correct"


if __name__ == "__main__":
    main()
