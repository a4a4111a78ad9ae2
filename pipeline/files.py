"""Files that are whole or not there: written beside, then renamed over the old."""

from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, creating its folder; a reader sees the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, like `write_bytes`."""
    write_bytes(path, text.encode())
