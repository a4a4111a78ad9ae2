"""Send a request to a deployment from Python data or from MLflow's command line, and read the answer."""

import json
import urllib.request
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError

import numpy as np

from octavo.project.errors import ModelError, ServiceUnavailable
from octavo_mlflow.serving.process import Serving

FIELDS = ("inputs", "instances")
TIMEOUT = 60.0


def ask(serving: Serving, inputs: Any) -> dict[str, Any]:
    """The deployment's answer: `predictions`, and `classes` if requested.

    Raises:
        ModelError: it refuses the images. The message says why.
        ServiceUnavailable: it does not run, or has too many requests.
    """
    body = json.dumps(request(inputs)).encode()
    asked = urllib.request.Request(  # noqa: S310 - the address is loopback's
        f"{serving.address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:  # noqa: S310
            return dict(json.load(answer))
    except HTTPError as error:
        kind = ServiceUnavailable if error.code == HTTPStatus.SERVICE_UNAVAILABLE else ModelError
        raise kind(str(json.load(error)["message"])) from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise ServiceUnavailable(
            f"The deployment {serving.deployment.name} does not answer at {serving.address}: {why}. End of its log: "
            f"{serving.last_words} Update it to start it again."
        ) from None


def request(inputs: Any) -> dict[str, Any]:
    """The request as JSON types.

    A data frame has one image per row. As `mlflow deployments predict` reads a file, it has a column `inputs` with one
    image per row, and a column for each param.
    """
    if isinstance(inputs, dict):
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in inputs.items()}
    if hasattr(inputs, "to_numpy"):
        field = next((name for name in FIELDS if name in inputs), None)
        if field is not None:
            others = inputs.drop(columns=field).iloc[0].to_dict()
            return {field: inputs[field].tolist(), "params": json.loads(json.dumps(others, default=np.generic.item))}
        inputs = inputs.to_numpy()
    if isinstance(inputs, np.ndarray):
        encoding = "uint8" if inputs.dtype == np.uint8 else "float32" if inputs.dtype.kind == "f" else None
        return {"inputs": inputs.tolist(), "params": {"dtype": encoding} if encoding else {}}
    return {"inputs": inputs}
