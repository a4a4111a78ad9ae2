"""Which extras a project needs, from its params."""

from octavo.project import extras
from octavo.project.params.networks import WITH_TENSORFLOW
from octavo.project.params.params import Params
from octavo.project.params.variants import CONVERTED, VARIANT_NAME


def of(params: Params) -> list[str]:
    """The extras that `dvc repro` in the project needs: of its data, formats and networks, and DVC and MLflow."""
    formats = {found["format"] for name in params.variants if (found := VARIANT_NAME.fullmatch(name))}
    runtimes = formats & extras.EXTRAS.keys()
    needed = {"dvc", "mlflow", params.data.source, *runtimes}
    keras = any(each.path and each.module in WITH_TENSORFLOW for each in params.brought.values())
    converted = any(each.recipe.endswith(CONVERTED) for each in params.variants.values())
    if params.networks or keras or converted:
        needed.add("train")
    return [name for name in extras.EXTRAS if name in needed]
