"""Which new data are refused before anything is trained on them, and what a user is told."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from octavo.data import prepare, sources
from octavo.data.drift import MINIMUM, Finding, compare
from octavo.data.partition import partition
from octavo.data.sources.raw import Raw
from octavo.data.splits import Manifest
from octavo.project.params.data import Data
from octavo.project.params.nightly import Drift, Nightly
from octavo.project.params.params import load_params

PARAMS = Path(__file__).parents[3] / "params.yaml"
Array = npt.NDArray[Any]
DATA = Data(source="digits", calibration=20)
CLASSES = tuple("0123456789")


def manifest(images: Array, labels: Array, test: tuple[Array, Array] | None = None, **changes: Any) -> Manifest:
    raw = Raw((images, labels), test, **{"classes": CLASSES, "published": True, **changes})
    checked, own, classes = prepare.check(raw)
    parts = partition(checked, own, classes, DATA)
    return prepare.describe(parts, classes, DATA, own_test=own is not None)


def by_rule(now: Manifest, then: Manifest, limits: Drift | None = None) -> dict[str, Finding]:
    return {finding.rule: finding for finding in compare(now, then, limits or Drift())}


def refused(now: Manifest, then: Manifest) -> set[str]:
    return {finding.code for finding in compare(now, then, Drift()) if finding.refuses}


@pytest.fixture(scope="module")
def digits() -> tuple[Array, Array]:
    images, labels = sources.load(Data(source="digits")).train
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order], labels[order]


@pytest.fixture(scope="module")
def before(digits: tuple[Array, Array]) -> Manifest:
    images, labels = digits
    return manifest(images[:1300], labels[:1300])


def test_more_of_the_same_is_welcome(digits: tuple[Array, Array], before: Manifest) -> None:
    findings = by_rule(manifest(*digits), before)

    assert list(findings) == ["schema", "added", "class_balance", "brightness", "contrast"]
    assert {finding.code for finding in findings.values()} == {f"{rule}_ok" for rule in findings}
    assert findings["added"].value == 497
    assert findings["added"].sentence == "The 497 new images are judged by the 1,300 before."
    for rule in ("class_balance", "brightness", "contrast"):
        assert findings[rule].value < 0.1
        assert findings[rule].p_limit == 0.001 / 3


def test_a_flood_of_one_class_is_refused_and_named(digits: tuple[Array, Array], before: Manifest) -> None:
    images, labels = digits
    late = np.arange(1300, len(labels))
    added = np.concatenate([late[labels[late] == 3], late[labels[late] != 3][:100]])
    n, threes = len(added), int((labels[added] == 3).sum())
    chosen = np.concatenate([np.arange(1300), added])
    found = by_rule(manifest(images[chosen], labels[chosen]), before)["class_balance"]

    assert (found.code, found.images, found.refuses) == ("class_balance_drifted", f"{n} new images", True)
    share = np.bincount(labels[:1300])[3] / 1300
    assert found.sentence.startswith(f"Class '3' is {threes / n:.0%} of the {n} new images, {share:.0%} before: ")
    assert found.value > found.limit == 0.05
    assert found.p_value is not None
    assert found.p_limit is not None
    assert found.p_value <= found.p_limit


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda images: 255 - images, "brightness"),
        (lambda images: (images / 2 + images.mean(axis=(1, 2), keepdims=True) / 2).astype(np.uint8), "contrast"),
    ],
    ids=["inverted", "dull"],
)
def test_changed_pixels_are_refused_by_their_rule(
    change: Any, rule: str, digits: tuple[Array, Array], before: Manifest
) -> None:
    images, labels = digits
    now = manifest(np.concatenate([images[:1300], change(images[1300:])]), labels)

    assert f"{rule}_drifted" in refused(now, before)
    assert by_rule(now, before)[rule].sentence.startswith(f"Mean {rule} is ")
    assert by_rule(now, before)["class_balance"].code == "class_balance_ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": lambda x: x[:, :-1]}, "images are of shape (27, 28) now, (28, 28) before"),
        ({"images": lambda x: x / 255}, "pixels are float32 now, uint8 before"),
        ({"classes": tuple("012345678X")}, "classes are 0, 1, 2, 3, 4, 5, 6, 7, 8, X now, 0, 1, 2"),
        ({"classes": tuple("1023456789")}, "classes are 1, 0, 2, 3"),
    ],
    ids=["shape", "dtype", "a class renamed", "classes in another order"],
)
def test_another_form_is_refused_and_named(
    change: dict[str, Any], said: str, digits: tuple[Array, Array], before: Manifest
) -> None:
    images, labels = digits
    now = manifest(change.get("images", lambda x: x)(images), labels, classes=change.get("classes", CLASSES))
    (found,) = compare(now, before, Drift())

    assert (found.code, found.value, found.refuses) == ("schema_changed", 1, True)
    assert said in found.sentence


def test_floats_scaled_otherwise_are_another_form(digits: tuple[Array, Array]) -> None:
    images, labels = digits
    now, then = manifest(images.astype(np.float32), labels), manifest(images / 255, labels)
    (found,) = compare(now, then, Drift())
    assert found.sentence == "The data have another form: pixels lie in [0.0, 256.0] now, [0.0, 1.0] before."


def test_floats_that_reach_a_little_further_are_judged_in_common_bins(digits: tuple[Array, Array]) -> None:
    images, labels = digits[0] / np.float32(255), digits[1]
    further = images.copy()
    further[1400, 0, 0] = -0.01
    now, then = manifest(further, labels), manifest(images[:1300], labels[:1300])

    assert (now.pixel_range, then.pixel_range) == ((-1, 1), (0, 1))
    assert refused(now, then) == set()
    assert by_rule(now, then)["added"].images == "497 new images"


def test_too_few_new_images_are_not_passed_in_silence(digits: tuple[Array, Array], before: Manifest) -> None:
    images, labels = digits
    n = 1300 + MINIMUM - 1
    findings = by_rule(manifest(images[:n], labels[:n]), before)

    assert list(findings) == ["schema", "added"]
    assert findings["added"].code == "added_unjudged"
    assert findings["added"].sentence == "The 19 new images are too few to be judged: it takes 20."
    assert not findings["added"].refuses
    assert "brightness" in by_rule(manifest(images[: n + 1], labels[: n + 1]), before)


def test_nothing_new_is_well(before: Manifest) -> None:
    findings = by_rule(before, before)
    assert [(finding.code, finding.value) for finding in findings.values()] == [("schema_ok", 0), ("added_ok", 0)]
    assert findings["added"].sentence == "There are no new images."


def test_images_taken_away_make_it_two_samples(digits: tuple[Array, Array], before: Manifest) -> None:
    images, labels = digits
    now = manifest(images[600:], labels[600:])
    assert by_rule(now, before)["added"].images == "1,197 images now"
    assert refused(now, before) == set()
    assert "brightness_drifted" in refused(manifest(255 - images[600:], labels[600:]), before)


def test_certain_trifles_are_put_up_with(digits: tuple[Array, Array]) -> None:
    images, labels = (np.tile(array, (6, 1, 1)[: array.ndim]) for array in digits)
    then = manifest(images, labels)
    brighter = np.minimum(images * 1.02, 255).astype(np.uint8)
    now = manifest(np.concatenate([images, brighter]), np.concatenate([labels, labels]))
    found = by_rule(now, then, Drift(tolerance=0.1))["brightness"]

    assert found.p_value is not None
    assert found.p_value < 0.001 / 3
    assert found.code == "brightness_ok"
    assert by_rule(now, then, Drift(tolerance=0))["brightness"].refuses


def test_a_test_split_of_the_source_s_own_is_judged_by_itself(digits: tuple[Array, Array]) -> None:
    images, labels = digits
    few = labels[1300:] < 5
    own = (images[1300:][few][:200], np.arange(200) % 10)
    then = manifest(images[:700], labels[:700], test=own)
    more = manifest(images[:1300], labels[:1300], test=own)
    broken = (np.concatenate([own[0], 255 - own[0]]), np.concatenate([own[1], own[1]]))

    assert refused(more, then) == set()
    assert [finding.images for finding in compare(more, then, Drift())[1:3]] == [
        "600 new images for train and selection",
        "0 new images for test",
    ]
    assert refused(manifest(images[:1300], labels[:1300], test=broken), then) == {"brightness_drifted"}


def test_manifests_without_pixel_statistics_are_judged_by_class_balance(
    digits: tuple[Array, Array], before: Manifest, tmp_path: Path
) -> None:
    old = before.model_dump(exclude={"pixel_range": True, "own_test": True, "splits": {"__all__": {"pixels"}}})
    findings = by_rule(manifest(*digits), Manifest.model_validate(old))

    assert list(findings) == ["schema", "added", "class_balance"]
    assert findings["added"].code == "added_unjudged"
    assert "brightness and contrast" in findings["added"].sentence
    assert findings["class_balance"].p_limit == 0.001


def test_limits_stand_in_params_yaml_and_are_the_same_without_it(tmp_path: Path) -> None:
    shown = yaml.safe_load(PARAMS.read_bytes())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({key: shown[key] for key in shown if key != "nightly"}))

    assert load_params(PARAMS).nightly == load_params(tmp_path / "params.yaml").nightly == Nightly(drift=Drift())


def test_the_same_manifests_give_the_same_findings(digits: tuple[Array, Array], before: Manifest) -> None:
    now = manifest(*digits)
    assert compare(now, before, Drift()) == compare(now, before, Drift())
