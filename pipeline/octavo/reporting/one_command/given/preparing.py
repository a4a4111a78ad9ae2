"""Read and divide the user's examples, bring them into the form of the network's input, and describe them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from octavo.data.sources.raw import Array
from octavo.project.errors import DataError
from octavo.project.params.encoding import InputEncoding
from octavo.reporting.one_command.given import copies, division, examples, fitting
from octavo.reporting.one_command.given.division import Part
from octavo.reporting.one_command.given.fitting import Encoding
from octavo.reporting.one_command.given.network import FloatNetwork
from octavo.reporting.one_command.given.pool import Labels, Pool, Size


@dataclass(frozen=True)
class GivenData:
    """The paths and the encoding that the user gives."""

    data: Path
    calibration: Path | None
    test: Path | None
    encoding: Encoding
    unlabelled: bool


@dataclass(frozen=True)
class Prepared:
    """The three splits, by name."""

    images: dict[str, Array]
    """As stored."""
    labels: dict[str, Labels | None]
    """None without labels."""
    classes: tuple[str, ...] | None
    encoding: InputEncoding
    remarks: tuple[str, ...]
    """What was left out, changed or dropped, as sentences."""

    @property
    def labelled(self) -> bool:
        """Whether the test has labels, so that accuracy can be measured."""
        return self.labels["test"] is not None


def prepare(given: GivenData, network: FloatNetwork) -> Prepared:
    """Read and divide the examples.

    Raises:
        DataError: they cannot be read, are too few, or do not fit the network.
    """
    data, own_test = examples.read(given.data, network.size)
    calibration, test = (_apart(path, network.size) for path in (given.calibration, given.test))
    pools = [pool for pool in (data, calibration, test or own_test) if pool]
    remarks = [remark for pool in pools for remark in pool.remarks]
    if test and own_test:
        remarks.append("The test split of --data is not used, because --test gives another.")
    test = test or own_test
    if given.unlabelled:
        data, test = data.unlabelled(), test and test.unlabelled()
    judged = test or data
    if data.labels is not None and judged.labels is not None and data.classes != judged.classes:
        raise DataError("--data and --test have different class folders. Give both the same ones, empty where needed.")
    apart = {"--calibration": calibration and calibration.unlabelled(), "the test": test}
    once = {"--data": data} | {whose: pool for whose, pool in apart.items() if pool}
    for whose, pool in once.items():
        once[whose], said = copies.left_out(pool, whose)
        remarks += said
    data = once["--data"]
    parts = division.divide(data, once.get("--calibration"), once.get("the test"))
    images, labels, said = _loaded(parts, network)
    unused = len(data) - sum(len(part.places) for part in parts.values() if part.pool is data)
    remarks += said
    remarks += [f"{unused:,} examples of --data are not used, because enough others are."] if unused else []
    if judged.labels is None:
        labels = dict.fromkeys(labels)
    remarks += copies.drop(images, labels, {name: part.name for name, part in parts.items()})
    encoding = fitting.encoding(images["test"], network, given.encoding)
    remarks += fitting.doubts(images["calibration"], encoding)
    return Prepared(images, labels, judged.classes, encoding, tuple(remarks))


def _loaded(
    parts: Mapping[str, Part], network: FloatNetwork
) -> tuple[dict[str, Array], dict[str, Labels | None], list[str]]:
    """Examples and labels by split, and how examples were changed, as sentences."""
    changed: Counter[str] = Counter()
    images: dict[str, Array] = {}
    labels: dict[str, Labels | None] = {}
    for name, part in parts.items():
        loaded = part.pool.load(part.places, network.size)
        changed.update(loaded.changed)
        images[name] = fitting.stored(loaded.examples, network, changed)
        labels[name] = None if part.pool.labels is None else part.pool.labels[part.places]
    _require_alike(images)
    return images, labels, [f"{n:,} examples: {change}." for change, n in changed.items()]


def _apart(path: Path | None, size: Size | None) -> Pool | None:
    """The examples of `--calibration` or `--test`, if it is given.

    Raises:
        DataError: they are divided themselves.
    """
    if path is None:
        return None
    found, own_test = examples.read(path, size)
    if own_test:
        raise DataError(f"{path} has a train and a test split. Give one of the two.")
    return found


def _require_alike(images: Mapping[str, Array]) -> None:
    kinds = {name: (str(each.dtype), each.shape[1:]) for name, each in images.items()}
    if len(set(kinds.values())) > 1:
        said = "; ".join(f"{name} {dtype} {shape}" for name, (dtype, shape) in kinds.items())
        raise DataError(f"The examples differ ({said}). All must have one type and one shape.")
