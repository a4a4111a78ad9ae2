"""Log model files in MLflow by the flavor of their format, and check them against the measured bytes."""

from pathlib import Path

import mlflow

from octavo.backends.records import ModelFile
from octavo.evaluation.scorecard import Scorecard
from octavo.project.errors import ModelError
from octavo_mlflow.flavors import image_pyfunc
from octavo_mlflow.flavors.flavor import flavor_of
from octavo_mlflow.registry import versions


def log(card: Scorecard) -> str:
    """Log the model file of `card` in the active run, and return the logged model's id.

    Raises:
        ModelError: its format has no flavor, or MLflow does not hold the bytes that were measured.
    """
    path = Path(card.model.path)
    flavor = flavor_of(path)
    signature = flavor.signature_of(path)
    example = image_pyfunc.example(signature)
    logged = flavor.log_model(path, card.variant, signature=signature, input_example=example).model_id
    with versions.stored(mlflow.get_logged_model(logged).artifact_location, card.model):
        return str(logged)


def check_local(model: ModelFile) -> None:
    """Check the local file against the measured bytes.

    Raises:
        ModelError: it is missing or differs.
    """
    path = Path(model.path)
    if not path.is_file():
        raise ModelError(f"No model file {path}, yet it has a scorecard. Run dvc repro.")
    versions.check(path, model, str(path))
