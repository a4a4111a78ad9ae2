"""Read scoring requests and compute their answers. The HTTP part is in `intake`, `connection` and `server`.

A request is {"inputs": images, "params": {"dtype": "uint8", "classes": true}}, an answer is {"predictions": logits,
"classes": …}. The cost of a request is limited before it is parsed, by counts over its bytes.
"""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from octavo.backends import model_files, registry
from octavo.backends.predictor import Predictor
from octavo.backends.registry import open_model
from octavo.project.errors import ModelError, OctavoError
from octavo.tasks.logits import CLASSIFICATION, NotFinite, check
from octavo_mlflow.flavors.image_input import ENCODINGS, Input, Steps
from octavo_mlflow.serving.record import Deployment, load

VALUES = 2**21
"""Limit for numbers and lists in a request, and for numbers in an answer. If one image needs more, the limit is three
times its numbers, so that one image with its lists always fits. The limit holds some 2,600 images of 28 × 28. Each
value takes Python up to 50 bytes. Parsing takes a quarter of a second, during which no other thread of the process
runs.
"""
STRINGS = 32
"""Limit for strings in a request: names of its fields and params. They are counted before the request is parsed."""
DEPTH = 200
"""Limit for nested lists and objects, the parser's own, so that no request can exhaust the stack. Images have four
levels.
"""
BATCH = 256
"""Images per call of the model, as in the evaluation. A runtime keeps the memory of its largest batch."""
PARAMS = {"dtype": (None, *ENCODINGS), "classes": (None, False, True)}
"""The allowed values of each param."""


class RequestRefused(OctavoError):
    """A request that is refused, with its HTTP status."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class ServedModel:
    """The deployed model, for one caller at a time: it has a fixed number of threads."""

    def __init__(self, folder: Path) -> None:
        """Open the model in `folder`.

        Raises:
            ModelError: its bytes differ from the registered ones, or it cannot be opened.
        """
        self.deployment: Deployment = load(folder)
        path = folder / self.deployment.file
        got = model_files.sha256(path)
        if got != self.deployment.sha256:
            raise ModelError(f"{path} is not the registered model: its sha256 is {got}, not {self.deployment.sha256}.")
        self._predict: Predictor = open_model(path, self.deployment.settings.threads)
        self._failures = registry.backend_of(path).failures
        integers = self._predict.quantization
        scale, zero = (integers.scale, integers.zero) if integers else (0.0, 0)
        steps = Steps(**self._predict.input_encoding.model_dump(exclude={"dtype"}))
        self._takes = Input(np.dtype(self.deployment.dtype), self.deployment.shape, scale, zero, steps)
        self._warm_up()

    def _warm_up(self) -> None:
        """Run once, so that the first request does not wait for the runtime's start. Skipped for models with free image
        sizes.
        """
        batch, *sizes = self._takes.shape or (0, 0)
        if all(size > 0 for size in sizes):
            images = np.zeros([max(batch, 1), *sizes], self._takes.dtype)
            self._predict.run(self._takes.steps.laid_out(images))

    def read(self, body: bytes | bytearray) -> Any:
        """Parse a request from JSON in UTF-8.

        Raises:
            RequestRefused: it is not JSON, or exceeds the limits of this module.
        """
        most = max(VALUES, 3 * prod(max(size, 1) for size in self._takes.shape[1:]))
        if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
            raise RequestRefused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request holds at most {most:,} numbers; send fewer images."
            )
        strings = body.count(b'"') / 2
        request = _parsed(body) if strings <= STRINGS else None
        if strings != _names(request):
            raise RequestRefused(
                HTTPStatus.BAD_REQUEST, "Images are arrays of numbers without strings, and each name occurs once."
            )
        return request

    def answer(self, request: Any) -> dict[str, Any]:
        """Answer a parsed request.

        Raises:
            RequestRefused: it is not a valid request, or the model returns no finite logits for its images.
        """
        if not isinstance(request, dict) or len({"inputs", "instances"} & set(request)) != 1:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, 'A request is {"inputs": images, "params": {…}}.')
        params = _params(request)
        try:
            images = self._takes.take(request.get("inputs", request.get("instances")), params.get("dtype"))
        except (ValueError, OverflowError) as error:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, str(error)) from None
        if not images.size:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"Images of shape {images.shape} have no pixels.")
        try:
            logits = self._logits(images)
        except self._failures:
            raise RequestRefused(
                HTTPStatus.BAD_REQUEST, f"The model fails on images of shape {images.shape}: send others, or fewer."
            ) from None
        try:
            check(logits, self.deployment.variant)
        except NotFinite as error:
            raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        answer: dict[str, Any] = {"predictions": logits.tolist()}
        if params.get("classes"):
            names, chosen = self.deployment.classes, CLASSIFICATION.answers(logits, self.deployment.variant).tolist()
            answer["classes"] = [names[best] if names else best for best in chosen]
        return answer

    def _logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (N, classes) of images in the model's own encoding, in batches of `BATCH` if its batch size
        is free.
        """
        if self._takes.shape[:1] != (-1,) or len(images) <= BATCH:
            return self._predict.run(images)
        first = self._predict.run(images[:BATCH])
        if len(images) * first[0].size > VALUES:
            raise RequestRefused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"An answer holds at most {VALUES:,} numbers; send fewer images."
            )
        others = [self._predict.run(images[start : start + BATCH]) for start in range(BATCH, len(images), BATCH)]
        return np.concatenate([first, *others])


def _parsed(body: bytes | bytearray) -> Any:
    try:
        with _no_collection():
            return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        why = str(error)
        if why.startswith("recursion limit"):
            why = f"nested more than {DEPTH} deep"
        elif b"NaN" in body or b"Infinity" in body:
            why = "JSON has neither NaN nor Infinity, and an image needs neither"
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The request cannot be read as JSON: {why}.") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch off garbage collection while Python creates millions of lists: the search for cycles takes most of the
    time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _names(value: Any) -> int:
    """Count the strings in `value` that are keys or values of objects, but not those in lists."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return int(isinstance(value, str))


def _params(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params") or {}
    if not isinstance(params, dict) or set(params) - set(PARAMS):
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"Known params: {', '.join(sorted(PARAMS))}.")
    for name, allowed in PARAMS.items():
        if params.get(name) not in allowed:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"The param {name} is one of {json.dumps(allowed)[1:-1]}.")
    return params
