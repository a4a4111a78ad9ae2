"""Bad data: what the stage `prepare` meets, by the source."""

# mypy: disable-error-code="func-returns-value"
# a lambda does several things in turn, as the parts of a tuple
import io
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from octavo.data import prepare
from octavo.project import paths
from octavo.project.params.data import Data
from tests.contracts.bad_input.kind import Kind

N = 60
IMAGES = (np.arange(N)[:, None, None] * np.ones((8, 8))).astype(np.uint8)
LABELS = np.arange(N) % 3
Make = Callable[[Path], object]


def prepared(source: str, path: str, **more: Any) -> None:
    asked = {"source": source, "path": path, "calibration": 5} | more
    prepare.prepare(Data.model_validate(asked), paths.DATA)


def npz(name: str, told: str, make: Make, **more: Any) -> Kind:
    def meet() -> None:
        make(Path("mine.npz"))
        prepared("npz", "mine.npz", **more)

    return Kind("data", f"npz: {name}", meet, told)


def arrays(**values: Any) -> Make:
    """An archive of these arrays; of good ones, where they are not given, and without those that are None."""
    whole: dict[str, Any] = {"images": IMAGES, "labels": LABELS} | values
    return lambda path: np.savez(path, **{name: each for name, each in whole.items() if each is not None})


def two_parts(**values: Any) -> Make:
    return arrays(
        images=None, labels=None, **{"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS} | values
    )


def with_value(value: float) -> np.ndarray:
    found = IMAGES.astype(np.float32)
    found[3, 2, 1] = value
    return found


def cut(path: Path) -> None:
    arrays()(path)
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    arrays()(path)
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)


def doubled(path: Path) -> None:
    arrays()(path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("images.npy", archive.read("images.npy"))


def huge(path: Path) -> None:
    """It declares a shape of 8 EB."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "|u1", "fortran_order": False, "shape": (2**31, 2**16, 2**16)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", content.getvalue())
        archive.writestr("labels.npy", content.getvalue())


def folder(source: str, name: str, told: str, make: Make, **more: Any) -> Kind:
    def meet() -> None:
        Path("mine").mkdir()
        make(Path("mine"))
        prepared(source, "mine", **more)

    return Kind("data", f"{source}: {name}", meet, told)


def pictures(root: Path, classes: int = 2, size: tuple[int, int] = (8, 8)) -> None:
    for number in range(classes * 8):
        place = root / f"c{number % classes}"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, number).save(place / f"{number}.png")


def beside(make: Make, **options: Any) -> Make:
    """Good pictures in class folders, and something bad among them."""

    def both(root: Path) -> None:
        pictures(root, **options)
        make(root)

    return both


def nothing(root: Path) -> None:
    """No file at all."""


def linked(root: Path) -> None:
    Path("outside.png").write_bytes((root / "c0/0.png").read_bytes())
    (root / "c0/out.png").symlink_to(Path("outside.png").resolve())


def animated(root: Path) -> None:
    frames = [Image.new("L", (8, 8), grey) for grey in (0, 200)]
    frames[0].save(root / "c0/a.gif", save_all=True, append_images=frames[1:])


def table(name: str, text: str | bytes, told: str, source: str = "csv") -> Kind:
    def meet() -> None:
        pictures(Path("mine"))
        content = text.encode() if isinstance(text, str) else text
        Path(f"mine/t.{source}").write_bytes(content)
        prepared(source, f"mine/t.{source}")

    return Kind("data", f"{source}: {name}", meet, told)


def generator(name: str, body: str, told: str) -> Kind:
    """A module of its own for each, because Python imports a name once."""
    module = f"bad_{name.replace(' ', '_')}"

    def meet() -> None:
        Path(f"{module}.py").write_text(f"import numpy as np\nimage = np.zeros((2, 2), np.uint8)\n{body}\n")
        prepared("generator", "data", generator=f"{module}:run")

    return Kind("data", f"generator: {name}", meet, told)


def run(line: str) -> str:
    return f"def run(path):\n    {line}"


def encoded(name: str, told: str, examples: np.ndarray = IMAGES, **encoding: Any) -> Kind:
    return npz(f"encoding, {name}", told, arrays(images=examples), encoding=encoding)


def _of_arrays() -> Iterator[Kind]:
    names = "Write it with np.savez: x_train, y_train, x_test, y_test or x_train, y_train or images, labels;"
    yield Kind("data", "npz: missing", lambda: prepared("npz", "gone.npz"), "No file gone.npz. data.path is an npz")
    yield Kind(
        "data", "npz: a folder", lambda: prepared("npz", "artifacts"), "artifacts cannot be read: Is a directory"
    )
    yield npz("empty", "is cut short or not an npz archive", lambda path: path.write_bytes(b""))
    yield npz("text", "is cut short or not an npz archive", lambda path: path.write_text("hello"))
    yield npz("cut", "is cut short or not an npz archive", cut)
    yield npz("a bit flipped", "is damaged", flipped)
    yield npz("no arrays", f"(it has nothing). {names}", arrays(images=None, labels=None))
    yield npz("other names", f"(it has x, y). {names}", arrays(images=None, labels=None, x=IMAGES, y=LABELS))
    yield npz("no labels", f"(it has images). {names}", arrays(labels=None))
    yield npz("a name twice", "has 2 arrays called images", doubled)
    yield npz("objects", "it holds Python objects, allowed are plain numbers", arrays(labels=np.array([{}] * N)))
    yield npz("records", "allowed are plain numbers", arrays(labels=np.zeros(N, [("a", int)])))
    yield npz("texts", "allowed are plain numbers", arrays(labels=np.array(["cat"] * N)))
    yield npz(
        "fewer labels",
        "has labels of train of shape (59,) for 60 images: give one per image",
        arrays(labels=LABELS[1:]),
    )
    yield npz("one-hot labels", "Give one per image, as (N,)", arrays(labels=np.eye(3)[LABELS]))
    yield npz("labels in float", "Labels of train are float64. Give integers", arrays(labels=LABELS.astype(float)))
    yield npz("negative labels", "Labels of train run from -1 to 1. Renumber them", arrays(labels=LABELS - 1))
    yield npz("labels far apart", "Labels of train run from 0 to 2000. Renumber them", arrays(labels=LABELS * 1000))
    yield npz(
        "a class without images", "Class '1' has no image in train. Add some, or renumber", arrays(labels=LABELS * 2)
    )
    yield npz(
        "one class", "All images are of class '0'. A classifier needs two classes or more", arrays(labels=LABELS * 0)
    )
    yield npz(
        "few images",
        "too few different images to be split: 1, and train, selection, test need one each",
        arrays(images=IMAGES[:3], labels=LABELS[:3]),
    )
    yield npz("all alike", "20 of its images are also in another class", arrays(images=IMAGES * 0))
    yield npz(
        "integers", "Images of train are int64. Give uint8 in 0..255, or floats", arrays(images=IMAGES.astype(int))
    )
    yield npz("booleans", "Images of train are bool. Give uint8", arrays(images=IMAGES > 3))
    yield npz("complex", "it holds complex128, allowed are plain numbers", arrays(images=IMAGES * 1j))
    yield npz(
        "numbers alone",
        "Images of train have shape (60,). Give one or more, as (N, H, W)",
        arrays(images=IMAGES[:, 0, 0]),
    )
    yield npz("too many axes", "Images of train have shape", arrays(images=IMAGES.reshape(N, 2, 2, 2, 2, 2, 2)))
    yield npz(
        "no rows",
        "Images of train have shape (0, 8, 8). Give one or more",
        arrays(images=IMAGES[:0], labels=LABELS[:0]),
    )
    yield npz("no width", "Images of train have shape (60, 8, 0)", arrays(images=IMAGES[:, :, :0]))
    yield npz(
        "NaN", "1 pixels of train are NaN or infinite in float32. Repair or remove", arrays(images=with_value(np.nan))
    )
    yield npz("infinite", "NaN or infinite in float32", arrays(images=with_value(np.inf)))
    yield npz(
        "too large for float32", "NaN or infinite in float32", arrays(images=with_value(1).astype(np.float64) * 1e39)
    )
    yield npz("a declared size of exabytes", "declares", huge)
    yield npz(
        "another test shape", "in train and (60, 8, 4) in test: they must be alike", two_parts(x_test=IMAGES[:, :, :4])
    )
    yield npz("another test type", "Both must be alike: convert one", two_parts(x_test=IMAGES / np.float32(255)))
    yield npz("test alone", "has no x_train, y_train", two_parts(x_train=None, y_train=None))
    yield npz("a test class unknown to train", "Labels of test run from 0 to 5", two_parts(y_test=np.arange(N) % 6))
    yield npz("calibration", "data.calibration asks for 500 images, but train has", arrays(), calibration=500)
    yield npz(
        "pairs of equal images",
        "20 of its images are also in another class, first x_train[2]",
        arrays(images=IMAGES // 2),
        duplicates="refuse",
    )
    yield encoded("3 means for 8 channels", "Give one value for all, or 8, one for each channel", mean=[0.5] * 3)
    yield encoded(
        "28 means for grey",
        "for grey images, which have one channel. Give one value",
        mean=[0.5] * 8,
        layout="channel_added_first",
    )
    yield encoded(
        "scale of floats", "data.encoding.scale divides uint8 examples, and these are float32", with_value(0), scale=2
    )
    yield encoded(
        "bytes of floats", "data.encoding.dtype is 'uint8', and examples are float32", with_value(0), dtype="uint8"
    )
    yield encoded(
        "channels of vectors", "a single axis. Leave layout out", IMAGES[:, 0] + IMAGES[:, 1], layout="channels_first"
    )

    yield Kind(
        "data",
        "npy: missing",
        lambda: prepared("npy", "gone"),
        "No folder gone. data.path is a folder with x_train.npy",
    )
    yield folder("npy", "empty", "has no x_train, y_train, x_test, y_test (it has nothing). Save", nothing)
    yield folder(
        "npy",
        "cut",
        "has 500 bytes and declares",
        lambda root: (
            np.save(root / "images.npy", IMAGES),
            np.save(root / "labels.npy", LABELS),
            os.truncate(root / "images.npy", 500),
        ),
    )
    yield folder(
        "npy",
        "objects",
        "Python objects",
        lambda root: (
            np.save(root / "images.npy", IMAGES),
            np.save(root / "labels.npy", np.array([{}] * N), allow_pickle=True),
        ),
    )


def _of_files() -> Iterator[Kind]:
    yield Kind(
        "data",
        "images: missing",
        lambda: prepared("images", "gone"),
        "No images in gone. data.path is a folder with one",
    )
    yield folder(
        "images",
        "empty",
        "No images in mine. data.path is a folder with one folder of images per class",
        nothing,
    )
    yield folder(
        "images", "no class folders", "No images in mine", lambda root: Image.new("L", (8, 8)).save(root / "a.png")
    )
    yield folder("images", "one class", "A classifier needs two classes or more", beside(nothing, classes=1))
    yield folder(
        "images", "a nested folder", "is a folder inside a class folder", beside(lambda root: (root / "c0/x").mkdir())
    )
    yield folder(
        "images",
        "text as a PNG",
        "c0/t.png cannot be read: it is none of BMP, GIF",
        beside(lambda root: (root / "c0/t.png").write_text("hi")),
    )
    yield folder("images", "a cut file", "cannot be read", beside(lambda root: os.truncate(root / "c0/0.png", 40)))
    yield folder(
        "images",
        "an empty file",
        "cannot be read: it is none of",
        beside(lambda root: os.truncate(root / "c0/0.png", 0)),
    )
    yield folder(
        "images",
        "two sizes",
        "All must have one size: set data.image_size",
        beside(lambda root: Image.new("L", (9, 8)).save(root / "c0/z.png")),
    )
    yield folder(
        "images",
        "16 bits",
        "has more than 8 bits per channel",
        beside(lambda root: Image.new("I;16", (8, 8)).save(root / "c0/z.png")),
    )
    yield folder(
        "images",
        "transparent",
        "has transparent pixels. Lay it over a background",
        beside(lambda root: Image.new("RGBA", (8, 8)).save(root / "c0/z.png")),
    )
    yield folder("images", "animated", "has 2 frames, and an example is one image", beside(animated))
    yield folder("images", "a link outside", "leads outside mine. Copy the image", beside(linked))
    yield folder(
        "images", "a link to nothing", "out.png", beside(lambda root: (root / "c0/out.png").symlink_to("gone.png"))
    )
    yield folder(
        "images",
        "only other files",
        "has the suffix of an image that can be read: a.pdf",
        beside(lambda root: ((root / "c9").mkdir(), (root / "c9/a.pdf").touch())),
    )
    yield folder(
        "images",
        "a third folder beside train and test",
        "holds val beside train/ and test/",
        lambda root: [pictures(root / part) for part in ("train", "test", "val")],
    )
    yield folder(
        "images",
        "a class of test alone",
        "has no image in train",
        lambda root: (pictures(root / "train"), pictures(root / "test", classes=3)),
    )

    yield Kind(
        "data", "csv: missing", lambda: prepared("csv", "gone.csv"), "gone.csv has no table. data.path is a .csv file"
    )
    yield table("empty", "", "is empty. Its rows have a path and a label")
    yield table("no label", "path,kind\nc0/0.png,a\n", "needs a path and a label: label is one of label, labels")
    yield table("Latin-1", "path,label\nc0/0.png,é\n".encode("latin-1"), "is not UTF-8")
    yield table("an open quote", 'path,label\n"c0/0.png,a\n', "is not CSV")
    yield table("files that are gone", "path,label\ngone.png,a\nlost.png,b\n", "2 rows of files that are missing")
    yield table("files outside", "path,label\n../a.png,a\n", "files outside the table's folder")
    yield table("no labels", "path,label\nc0/0.png,\n", "1 rows without a label")
    yield table("a header alone", "path,label\n", "has 0 rows")
    yield table("no train", "path,label,split\nc0/0.png,a,test\n", "has no row for train")
    yield table("two labels of a file", "path,label\nc0/0.png,a\nc0/0.png,b\n", "different labels or splits")
    yield table("zeros", b"\0" * 100, "t.csv")
    yield table("no Parquet", b"PAR1 not", "cannot be read as Parquet", source="parquet")
    yield folder(
        "csv",
        "two tables",
        "has 2 tables (a.csv, b.csv)",
        lambda root: [(root / f"{name}.csv").touch() for name in "ab"],
    )


def _of_functions() -> Iterator[Kind]:
    yield Kind(
        "data",
        "generator: no module",
        lambda: prepared("generator", "data", generator="nowhere:run"),
        "there is no module 'nowhere' here. Give module:function",
    )
    yield generator("no function", "def runs(path): ...", "there is no such name. Did you mean 'runs'?")
    yield generator("no arguments", "def run(): ...", "allowed is a function of the path in data.path")
    yield generator("a syntax error", "def run(:", "line 3: SyntaxError")
    yield generator("an error", run("yield 1 / 0"), "line 4: ZeroDivisionError: division by zero")
    yield generator("no generator", run("return 3"), "returns a int. It must be a generator of (example, label)")
    yield generator("nothing", run("yield from ()"), "gave no example for train. Give (example, label)")
    yield generator("no label", run("yield image"), "example 0 is a ndarray. Give (example, label)")
    yield generator(
        "a label that is none", run("yield image, None"), "has the label None. Give a class name or an integer"
    )
    yield generator("another part", run("yield image, 0, 'val'"), "is for 'val'. Give 'train' or 'test'")
    yield generator("integers", run("yield image.astype(int), 0"), "is int64 (2, 2). Give uint8 in 0..255, or floats")
    yield generator("another shape", run("yield image, 0; yield image[:1], 1"), "Give all of them one shape and type")
    yield generator("ragged", run("yield [[1], [1, 2]], 0"), "example 0")


KINDS = (*_of_arrays(), *_of_files(), *_of_functions())
