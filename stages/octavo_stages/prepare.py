"""DVC stage `prepare`: load the images of a source, and write four splits and their manifest."""

from octavo.data import prepare
from octavo.project import paths, story
from octavo.project.params.params import load_params


@story.stage
def main() -> str:
    manifest = prepare.prepare(load_params().data, paths.DATA)
    for finding in prepare.findings(manifest):
        story.say(finding)
    sizes = ", ".join(f"{name} {record.n}" for name, record in manifest.splits.items())
    return f"{manifest.source}: {len(manifest.classes)} classes; images: {sizes}"


if __name__ == "__main__":
    main()
