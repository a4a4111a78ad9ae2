"""Quality from logits, on a small test split that can be counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from octavo.backends import predictor
from octavo.backends.predictor import Predictor
from octavo.backends.records import ModelFile, Proof
from octavo.data.splits import Split
from octavo.evaluation import evaluate
from octavo.evaluation.scorecard import Evaluation, Size
from octavo.project import paths
from octavo.tasks import classification

TEST = Split(np.zeros((6, 2, 2), np.uint8), np.array([0, 0, 1, 1, 2, 2]))


def logits(classes: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[classes]


def test_top1_recall_and_confusion() -> None:
    quality = classification.judge(TEST, logits([0, 1, 1, 1, 2, 0]), logits([0, 0, 1, 1, 2, 2]))
    assert quality.top1 == pytest.approx(4 / 6)
    assert quality.n == 6
    assert quality.per_class_recall == [0.5, 1, 0.5]
    assert quality.confusion == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert quality.ci95[0] < 4 / 6 < quality.ci95[1]


def test_pairing_counts_what_broke_and_what_was_fixed() -> None:
    paired = classification.judge(TEST, logits([0, 1, 1, 1, 2, 2]), logits([0, 0, 0, 1, 0, 2])).vs_baseline
    assert (paired.broke, paired.fixed) == (1, 2)
    assert paired.delta == pytest.approx(1 / 6)
    assert paired.agreement == pytest.approx(3 / 6)


def test_each_class_has_its_own_counts_by_name() -> None:
    variant, reference = logits([0, 1, 1, 1, 2, 2]), logits([0, 0, 0, 1, 0, 2])
    counts = {"cat": (1, 0, 2), "dog": (0, 1, 2), "fox": (0, 1, 2)}
    assert classification.pair(TEST.labels, variant, reference, ["cat", "dog", "fox"]).per_class == counts
    numbered = classification.judge(TEST, variant, reference).vs_baseline.per_class
    assert numbered == dict(zip("012", counts.values(), strict=True))


def test_a_control_is_paired_only_where_there_is_one() -> None:
    right, wrong = logits([0, 0, 1, 1, 2, 2]), logits([1, 0, 1, 1, 2, 2])
    assert classification.judge(TEST, right, right).vs_control is None
    control = classification.judge(TEST, right, right, wrong).vs_control
    assert control is not None
    assert (control.fixed, control.broke) == (1, 0)


def test_images_are_scaled_and_fed_in_batches() -> None:
    fed = []

    def predict(images: np.ndarray) -> np.ndarray:
        fed.append(images)
        return images.reshape(len(images), -1)[:, :2]

    images = np.full((300, 2, 2), 255, np.uint8)
    assert predictor.logits(Predictor(predict), images).shape == (300, 2)
    assert [len(batch) for batch in fed] == [256, 44]
    assert all(batch.dtype == np.float32 and batch.max() == 1 for batch in fed)


def test_what_is_saved_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answers = logits([0, 1, 1, 1, 2, 0])
    card = Evaluation(
        model=ModelFile(path="model.onnx", sha256="0" * 64),
        quality=classification.judge(TEST, answers, answers),
        size=Size(file_bytes=1, weight_bytes=1, ratio=1, floor_ratio=1),
        proof=Proof(integer_weight_share=1, integer_compute_share=1, float_nodes=[]),
    )
    evaluate.save("any", TEST, answers, card)
    assert Evaluation.model_validate_json(paths.card("any").read_bytes()) == card
    np.testing.assert_array_equal(np.load(paths.logits("any")), answers)
    assert list(pd.read_csv(paths.predictions("any"))["predicted"]) == [0, 1, 1, 1, 2, 0]
