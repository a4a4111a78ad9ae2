"""What a project's models are, to the byte: `python benchmarks/identity.py FOLDER [--record NAME]`.

Lists the sha256 of each exported network and each model file in FOLDER, a project that was built, and of each
scorecard's figures that no clock made. Two commits that give the same list make the same models. With `--record` the
list goes to `benchmarks/results/identity.json` under that name; lists there whose names differ only in their ending
are compared, as `digits before` and `digits after`. Exit code 1 where two lists differ.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import click

RESULTS = Path(__file__).parent / "results" / "identity.json"
FILES = ("exported/*/model.onnx", "exported/*/saved_model/saved_model.pb", "models/*/model.*", "networks/*/weights.h5")
TIMED = ("latency", "lineage")
"""Fields of a scorecard that a clock or a commit made; besides, `recipe` is only a name."""


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--record", help="Name of this list in benchmarks/results/identity.json, such as 'digits before'.")
def main(folder: Path, record: str | None) -> None:
    """Print the list; with --record keep it, and compare it with its counterpart."""
    found = listed(folder)
    print("\n".join(f"{digest}  {name}" for name, digest in found.items()))
    if not record:
        return
    lists = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    lists[record] = found
    RESULTS.write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")
    subject = record.rpartition(" ")[0]
    others = [name for name in lists if name != record and name.rpartition(" ")[0] == subject]
    different = [f"{other}: {name}" for other in others for name in differences(found, lists[other])]
    print("\n".join(["", *(f"Not as in {each}" for each in different)]) if different else f"\nEqual: {others}")
    sys.exit(1 if different else 0)


def listed(folder: Path) -> dict[str, str]:
    """Path or variant -> sha256, in the order of the paths."""
    artifacts = folder / "artifacts"
    paths = sorted(path for pattern in FILES for path in artifacts.glob(pattern))
    files = {str(path.relative_to(artifacts)): _sha256(path.read_bytes()) for path in paths}
    scorecards = json.loads((folder / "reports/scorecards.json").read_bytes())["scorecards"]
    return files | {f"scorecard of {card['variant']}": _sha256(_figures(card)) for card in scorecards}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names that stand in one list alone, or with another digest."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _figures(card: dict[str, Any]) -> bytes:
    kept = {name: value for name, value in card.items() if name not in (*TIMED, "recipe")}
    return json.dumps(kept, sort_keys=True).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
