"""Run trials: quantize one float network in different ways, and measure each on the selection split."""

import hashlib
import inspect
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from octavo.backends import latency
from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.backends.predictor import Predictor
from octavo.backends.records import Latency
from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, external_tensors, qdq, streaming_writer
from octavo.onnx_graph.rewrites import equalization, network_input
from octavo.project.files import atomic_write, csv_file, json_file
from octavo.quantization import bias_correction, calibration, ptq
from octavo.quantization.calibration import Observation
from octavo.quantization.searching.trials import Choice, Form, Trial
from octavo.statistics.signal_to_noise import sqnr
from octavo.tasks import logits
from octavo.tasks.logits import rows
from octavo.tasks.task import load

BATCH = 256
ROUNDS = 20
"""Rounds of the latency measurement."""
CODE = (bias_correction, calibration, canonicalize, equalization, qdq, ptq)
"""The code that determines a trial's result. If it changes, stored trials are not used."""


class Bench:
    """A float network, statistics of its activations, and the trials so far."""

    def __init__(
        self, model: onnx.ModelProto, samples: Samples, memory: Path, kernels: ptq.Kernels = ptq.ONNXRUNTIME
    ) -> None:
        """Prepare trials of the model.

        Args:
            model: the float network, as `preparation.prepare` returns it.
            samples: calibration images, selection split, and the lowest accepted SQNR.
            memory: folder where trials are stored, so that an interrupted search can continue.
            kernels: of the runtime that the network is quantized for. All trials run in onnxruntime.
        """
        self.model = model
        self.kernels = kernels
        self.samples = samples
        self.trials: list[Trial] = []
        self.latency: dict[Form, Latency] = {}
        self.n = len(samples.selection.labels)
        self._memory = memory
        self._task = load(samples.task)

    def quantize(self, choice: Choice) -> onnx.ModelProto:
        """Quantize the network as the choice says."""
        method = calibration.METHODS[choice.method]
        model, observed = self._equalized if choice.equalize else self._as_it_is
        ranges = {name: method(seen) for name, seen in observed.items()}
        if choice.bias_correction:
            images = self.samples.calibration
            model = bias_correction.correct(model, ranges, images, choice.left, choice.per_channel, self.kernels)
        return ptq.quantize(model, ranges, choice.left, choice.per_channel, kernels=self.kernels)

    def try_out(self, choice: Choice) -> Trial:
        """Quantize the network as the choice says, and measure the result. A stored trial is read instead."""
        place = self._memory / f"{_digest(self._identity.encode(), choice.model_dump_json().encode())}.json"
        try:
            trial = json_file.read_record(place, Trial)
        except (FileNotFoundError, json_file.Unreadable):
            trial = self._judge(choice)
            atomic_write.write_text(place, trial.model_dump_json() + "\n")
        if trial not in self.trials:
            self.trials.append(trial)
        return trial

    def try_all(self, choices: Iterable[Choice], workers: int = 1) -> list[Trial]:
        """Try several choices, `workers` at a time. The trials have the order of the choices."""
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self.try_out, choices))

    def time(self, choices: Iterable[Choice]) -> dict[Form, Latency]:
        """Measure the latency with batch size 1, compared with the float network. The result is by form."""
        forms = {choice.form: choice for choice in choices}
        with TemporaryDirectory() as folder:
            predictors = {"float": self._opened(self.model, Path(folder, "float.onnx"))}
            for place, choice in enumerate(forms.values()):
                predictors[str(place)] = self._opened(self.quantize(choice), Path(folder, f"{place}.onnx"))
            measured = latency.measure(predictors, "float", self.samples.selection.images, 1, ROUNDS)
        self.latency = {form: measured[str(place)] for place, form in enumerate(forms)}
        return self.latency

    @staticmethod
    def _opened(model: onnx.ModelProto, path: Path) -> Predictor:
        canonicalize.save(model, path)
        return open_model(path)

    @cached_property
    def float_logits(self) -> np.ndarray:
        """The float network's logits on the selection split.

        Raises:
            NotFinite: a logit is NaN or infinite.
        """
        answers = _logits(self.model, self.samples.selection.images)
        logits.check(answers, "On the selection split the float network")
        return answers

    @cached_property
    def float_accuracy(self) -> float:
        return self._accuracy(self.float_logits)

    @cached_property
    def _identity(self) -> str:
        network = hashlib.sha256()
        for piece in streaming_writer.read(streaming_writer.pieces(*external_tensors.detach(self.model))):
            network.update(piece)
        code = [Path(module.__file__ or "").read_bytes() for module in CODE]
        code.append(Path(inspect.getfile(type(self._task))).read_bytes())
        runtime = version("onnxruntime").encode()
        form = repr(ptq.form(self.model, self.kernels)).encode()
        return _digest(network.digest(), *(part.tobytes() for part in self.samples.arrays()), *code, runtime, form)

    @cached_property
    def _as_it_is(self) -> tuple[onnx.ModelProto, dict[str, Observation]]:
        return self.model, self._observe(self.model)

    @cached_property
    def _equalized(self) -> tuple[onnx.ModelProto, dict[str, Observation]]:
        model = equalization.equalize(self.model)
        return model, self._observe(model)

    def _observe(self, model: onnx.ModelProto) -> dict[str, Observation]:
        return calibration.observe(model, ptq.points(model, kernels=self.kernels), self.samples.calibration)

    def table(self) -> str:
        """The trials as CSV, in an order that does not depend on threads. `latency_ratio` is there if measured."""
        rows = [self._row(trial) for trial in self.trials]
        rows.sort(key=lambda row: [(value is None, value) for value in row.values()])
        columns = [name for name in rows[0] if self.latency or name != "latency_ratio"]
        cells = ((number, *(row[name] for name in columns)) for number, row in enumerate(rows))
        return csv_file.text(("trial", *columns), cells)

    def _row(self, trial: Trial) -> dict[str, Any]:
        measured = self.latency.get(trial.choice.form)
        found = trial.choice.model_dump() | trial.model_dump(exclude={"choice"})
        return found | {"left": " ".join(trial.choice.left), "latency_ratio": measured and measured.ratio}

    def _judge(self, choice: Choice) -> Trial:
        wanted = self.float_logits
        model = canonicalize.canonical(self.quantize(choice))
        answers = _logits(model, self.samples.selection.images)
        return Trial(
            choice=choice,
            agreement=float(self._task.same(answers, wanted).mean()),
            accuracy=self._accuracy(answers),
            sqnr_db=round(sqnr(wanted, answers), 2),
            file_bytes=streaming_writer.size(streaming_writer.pieces(*external_tensors.detach(model))),
        )

    def _accuracy(self, answers: np.ndarray) -> float:
        """The task's summary of the scores: for classification, top-1 accuracy."""
        return self._task.summary(self._task.scores(answers, self.samples.selection.labels))


def _logits(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = open_probe(model)
    (source,) = session.get_inputs()
    encoding = network_input.encoding(model)
    batches = (encode(images[start : start + BATCH], encoding) for start in range(0, len(images), BATCH))
    return rows(np.concatenate([session.run(None, {source.name: batch})[0] for batch in batches]))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
