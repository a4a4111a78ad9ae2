"""DVC stage `prepare`: a source of images in, four splits and their manifest out."""

import sys
from collections.abc import Iterator

from octavo.data import prepare
from octavo.data.duplicates import JUDGES
from octavo.data.splits import Manifest
from octavo.project import errors, paths
from octavo.project.params.params import load_params


@errors.boundary()
def main() -> None:
    manifest = prepare.prepare(load_params().data, paths.DATA)
    sizes = ", ".join(f"{name} {record.n}" for name, record in manifest.splits.items())
    print(f"{manifest.source}: {len(manifest.classes)} classes; images: {sizes}", file=sys.stderr)
    for finding in findings(manifest):
        print(finding, file=sys.stderr)


def findings(manifest: Manifest) -> Iterator[str]:
    """What became of the data that one would not expect, a sentence each."""
    for kind, files in manifest.left_out.items():
        more = f" and {files.n - len(files.names)} more" if files.n > len(files.names) else ""
        yield f"{files.n} files left out ({kind}): {', '.join(files.names)}{more}"
    for change, n in manifest.changed.items():
        yield f"{n} images: {change}"
    for split, n in manifest.duplicates.dropped.items():
        yield f"{n} images taken out of {split}: {' or '.join(JUDGES[split])} has the same pixels (data.duplicates)"
    for pair, n in manifest.duplicates.across.items():
        if n:
            yield f"{n} images stand in both of {pair}"
    if n := manifest.duplicates.two_labels:
        yield f"{n} images have pixels that stand under another label, too: no network can get all of them right"


if __name__ == "__main__":
    main()
