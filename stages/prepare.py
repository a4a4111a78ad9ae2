"""DVC stage `prepare`: a source of images in, four splits and their manifest out."""

import sys

from pipeline import dataset, errors, layout
from pipeline.params import load_params


@errors.boundary()
def main() -> None:
    manifest = dataset.prepare(load_params().data, layout.DATA)
    sizes = ", ".join(f"{name} {record.n}" for name, record in manifest.splits.items())
    print(f"{manifest.source}: {len(manifest.classes)} classes; images: {sizes}", file=sys.stderr)
    for pair, count in manifest.duplicates.across.items():
        if count:
            print(f"{count} images stand in both of {pair}", file=sys.stderr)


if __name__ == "__main__":
    main()
