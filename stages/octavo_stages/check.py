"""DVC stage `check`: before anything is trained, check each variant's recipe and options, and that all inputs exist."""

from octavo.brought import pinned
from octavo.project import paths, story
from octavo.project.files import atomic_write
from octavo.project.params import inputs
from octavo.project.params.params import load_params
from octavo.quantization import recipes


@story.stage
def main() -> str:
    params = load_params()
    pinned.require_all(params)
    recipes.check(params)
    inputs.require(params)
    atomic_write.write_text(paths.OPTIONS_CHECKED, "Each variant's recipe takes its network and its options.\n")
    return f"check: recipes and options of {len(params.variants)} variants are correct"


if __name__ == "__main__":
    main()
