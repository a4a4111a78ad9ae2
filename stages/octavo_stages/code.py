"""DVC stage `code`: the names of the network and of the recipes in, links to the project's files that they run out."""

from octavo.project import paths, project_code
from octavo.project.errors import ParamsError, boundary
from octavo.project.params import PARAMS, load_params
from octavo.quantization import recipes


@boundary()
def main() -> None:
    params = load_params()
    try:
        project_code.link(params.train.module, paths.NETWORK_CODE)
    except ParamsError as error:
        raise ParamsError(f"{PARAMS}: train.network is '{params.train.network}'. {error}") from None
    paths.RECIPES_CODE.mkdir(parents=True, exist_ok=True)
    for recipe in sorted({variant.recipe for variant in params.variants.values()} & set(recipes.names())):
        project_code.link(f"{recipes.__name__}.{recipe}", paths.recipe_code(recipe))


if __name__ == "__main__":
    main()
