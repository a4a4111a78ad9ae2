"""What a request for scores means, and what is answered: the meaning behind `scoring`'s HTTP.

A request is {"inputs": images, "params": {"dtype": "uint8", "classes": true}}, an answer {"predictions": logits,
"classes": …}. What a request may cost is bounded before it is read, by what its bytes can be counted to hold.
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
from octavo_mlflow.flavors.image_input import ENCODINGS, Input
from octavo_mlflow.serving.record import Deployment, load

VALUES = 2**21
"""Numbers and lists in a request, or three times the numbers of one image where that is more, so that one always fits
with its lists; and numbers in an answer. Some 2,600 images of 28 × 28. Each takes Python up to 50 bytes, and while they
are read, a quarter of a second, no other thread of the process runs."""
STRINGS = 32
"""Strings in a request: names of its fields and params. They are counted before a parser makes something of them."""
DEPTH = 200
"""Levels of lists and objects: as many as the parser reads, so that none can exhaust the stack. Images have four."""
BATCH = 256
"""Images that the model gets at once, as when it was evaluated: a runtime keeps the memory of its largest batch."""
PARAMS = {"dtype": (None, *ENCODINGS), "classes": (None, False, True)}
"""The values of each."""


class Refused(OctavoError):
    """A request that is not answered."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Model:
    """The deployed model, for one caller at a time: its threads are all that it was given."""

    def __init__(self, folder: Path) -> None:
        """Open the model in `folder`.

        Raises:
            ModelError: its bytes are not those that were registered, or it cannot be opened.
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
        self._takes = Input(np.dtype(self.deployment.dtype), self.deployment.shape, scale, zero)
        self._warm_up()

    def _warm_up(self) -> None:
        """Let a first request not wait for what a runtime does once; where a size is free, none is known to work."""
        batch, *sizes = self._takes.shape or (0, 0)
        if all(size > 0 for size in sizes):
            self._predict.run(np.zeros([max(batch, 1), *sizes], self._takes.dtype))

    def read(self, body: bytes | bytearray) -> Any:
        """The request that is written in `body`, JSON in UTF-8.

        Raises:
            Refused: it is no JSON, or holds more than the limits of this module.
        """
        most = max(VALUES, 3 * prod(max(size, 1) for size in self._takes.shape[1:]))
        if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request holds at most {most:,} numbers; send fewer images."
            )
        strings = body.count(b'"') / 2
        request = _parsed(body) if strings <= STRINGS else None
        if strings != _names(request):
            raise Refused(
                HTTPStatus.BAD_REQUEST, "Images are arrays of numbers, without strings, and no name stands twice."
            )
        return request

    def answer(self, request: Any) -> dict[str, Any]:
        """What to answer to a request.

        Raises:
            Refused: it is none, or the model has no finite logits for its images.
        """
        if not isinstance(request, dict) or len({"inputs", "instances"} & set(request)) != 1:
            raise Refused(HTTPStatus.BAD_REQUEST, 'A request is {"inputs": images, "params": {…}}.')
        params = _params(request)
        try:
            images = self._takes.take(request.get("inputs", request.get("instances")), params.get("dtype"))
        except (ValueError, OverflowError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        if not images.size:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Images of shape {images.shape} have no pixels.")
        try:
            logits = self._logits(images)
        except self._failures:
            raise Refused(
                HTTPStatus.BAD_REQUEST, f"The model fails on images of shape {images.shape}: send others, or fewer."
            ) from None
        try:
            check(logits, self.deployment.variant)
        except NotFinite as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        answer: dict[str, Any] = {"predictions": logits.tolist()}
        if params.get("classes"):
            names, chosen = self.deployment.classes, CLASSIFICATION.answers(logits, self.deployment.variant).tolist()
            answer["classes"] = [names[best] if names else best for best in chosen]
        return answer

    def _logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (N, classes) of images as the model takes them, batch by batch where its batch is free."""
        if self._takes.shape[:1] != (-1,) or len(images) <= BATCH:
            return self._predict.run(images)
        first = self._predict.run(images[:BATCH])
        if len(images) * first[0].size > VALUES:
            raise Refused(
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
            why = "it knows neither NaN nor Infinity, and an image holds neither"
        raise Refused(HTTPStatus.BAD_REQUEST, f"This is no JSON that is read here: {why}.") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python make millions of lists without looking through them for cycles, which takes most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _names(value: Any) -> int:
    """Strings in `value` as names and as what they name, but not in lists."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return int(isinstance(value, str))


def _params(request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params") or {}
    if not isinstance(params, dict) or set(params) - set(PARAMS):
        raise Refused(HTTPStatus.BAD_REQUEST, f"Known params: {', '.join(sorted(PARAMS))}.")
    for name, allowed in PARAMS.items():
        if params.get(name) not in allowed:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The param {name} is one of {json.dumps(allowed)[1:-1]}.")
    return params
