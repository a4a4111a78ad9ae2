"""Which extras a project needs, from its params."""

from octavo.project.params.params import Params


def of(params: Params) -> list[str]:
    """The extras that `dvc repro` in the project needs."""
    litert = any(name.startswith("litert_") for name in params.variants)
    needed = {
        "digits": params.data.source == "digits",
        "dvc": True,
        "litert": litert,
        "mlflow": True,
        "train": bool(params.networks) or litert,
    }
    return [name for name, is_needed in needed.items() if is_needed]
