"""Images that a CSV or Parquet file lists: what is read is in the table, what is left out is counted and named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from octavo.data import prepare, sources
from octavo.data.sources import csv_table, listed_images
from octavo.project.errors import DataError
from octavo.project.params.data import Data

N = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images `0.png` to `23.png`; the first half is dark."""
    folder = tmp_path / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    for place in range(N):
        pixels = random.integers(0, 100, (6, 5), np.uint8) + (0 if place < N // 2 else 150)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{place}.png")
    return folder


def rows(separator: str = ",") -> list[str]:
    return [f"{place}.png{separator}{'dark' if place < N // 2 else 'light'}" for place in range(N)]


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["path,label", *rows()]),
        "\ufeff" + "\r\n".join(["path,label", *rows()]) + "\r\n",
        "\n".join(["label;file", *(";".join(row.split(";")[::-1]) for row in rows(";"))]),
        "\n".join(
            ['"Image"\t"Class"', *(f'"{row.split(chr(9))[0]}"\t" {row.split(chr(9))[1]} "' for row in rows("\t"))]
        ),
        "\n".join(rows()),
        "\n \n" + "\n".join(["path;label", *rows(";")]),
        "\n\n" + "\n\n".join(["id,path,label,remark", *(f'7,{row},"a, ""b"""' for row in rows())]) + "\n\n",
    ],
    ids=["plain", "byte order mark", "semicolons", "tabs and quotes", "no header", "blank lines", "other columns"],
)
def test_a_csv_file_in_any_usual_form_is_read(text: str, folder: Path) -> None:
    raw = csv_table.read(write(folder, text))
    assert raw.classes == ("dark", "light")
    assert raw.train[1].tolist() == [0] * (N // 2) + [1] * (N // 2)
    for place in (0, N - 1):
        np.testing.assert_array_equal(raw.train[0][place], np.asarray(Image.open(folder / f"{place}.png")))
    assert raw.files is not None
    assert (raw.files.train[0], dict(raw.files.left_out), raw.test) == ("0.png", {}, None)


def test_a_table_is_prepared_like_the_folder_of_the_same_files(folder: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    for row in rows():
        file, label = row.split(",")
        (classes / label).mkdir(parents=True, exist_ok=True)
        (classes / label / file).write_bytes((folder / file).read_bytes())
    write(folder, "\n".join(["path,label", *sorted(rows(), key=lambda row: row.split(",")[::-1])]))
    for name, source, path in (("a", "images", classes), ("b", "csv", folder)):
        prepare.prepare(Data.model_validate({"source": source, "path": path, "calibration": 8}), tmp_path / name)
    for part in ("train", "calibration", "selection", "test"):
        for file in ("images.npy", "labels.npy"):
            assert (tmp_path / "a" / part / file).read_bytes() == (tmp_path / "b" / part / file).read_bytes()


def test_rows_that_cannot_be_used_are_left_out_counted_and_named(folder: Path, tmp_path: Path) -> None:
    Image.new("L", (5, 6)).save(tmp_path / "outside.png")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    bad = ["gone.png,dark", "../outside.png,dark", f"{tmp_path / 'outside.png'},dark", "link.png,dark", "3.png,"]
    bad += [",dark", "4.png", "a\0b.png,dark", f"{'a' * 300}.png,dark"]
    twice = ["5.png,dark", f"{folder / '6.png'},dark", "./7.png,light"]
    many = [f"copy{place}.png,light" for place in range(100)]
    for place in range(100):
        (folder / f"copy{place}.png").write_bytes((folder / "20.png").read_bytes())
    raw = csv_table.read(write(folder, "\n".join(["path,label", *rows(), *many, *bad, *twice])))
    assert raw.files is not None
    assert {kind: len(names) for kind, names in raw.files.left_out.items()} == {
        listed_images.MISSING: 2,
        listed_images.OUTSIDE: 3,
        listed_images.NO_LABEL: 2,
        listed_images.NO_PATH: 2,
        listed_images.REPEATED: 2,
        listed_images.AT_ODDS: 2,
    }
    assert raw.files.left_out[listed_images.MISSING][0] == "line 126: gone.png"
    assert raw.files.left_out[listed_images.AT_ODDS] == ("line 9: 7.png", "line 137: ./7.png")
    assert len(raw.train[0]) == N + 100 - 1
    data = Data(source="csv", path=folder, calibration=8)
    told = list(prepare.findings(prepare.prepare(data, tmp_path / "made")))
    assert any(
        line.startswith("2 files left out (rows of files that are missing): line 126: gone.png") for line in told
    )


def test_numbers_are_classes_in_the_order_of_numbers(folder: Path) -> None:
    lines = [f"{place}.png,{(2, 10, 9)[place % 3]},{'Test' if place % 4 == 0 else 'train'}" for place in range(N)]
    raw = csv_table.read(write(folder, "\n".join(["path,label,split", *lines])))
    assert raw.classes == ("2", "9", "10")
    assert raw.test is not None
    assert raw.test[1].tolist() == [(0, 2, 1)[place % 3] for place in range(0, N, 4)]
    assert raw.files is not None
    assert raw.files.test[:2] == ("0.png", "4.png")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\ufeff \n , \n", "is empty"),
        ("a,b\n0.png,dark", r"has the columns a, b, and needs .* path is one of path, file, .* label is one of"),
        ("path,label", "has 0 rows, and 0 of them"),
        (
            "path,label\nx.png,dark\ny.png,light",
            r"2 of them cannot be used \(2 rows of files that are missing: line 2",
        ),
        (b"path,label\n0.png,d\xe4rk", r"is not UTF-8: byte 18 is 0xe4"),
        ('path,label\n"0.png,dark', r"line 2, is not CSV: unexpected end of data"),
        ("path,label,split\n0.png,dark,test\n1.png,light,test", "no row for train"),
        ("path,label,split\n0.png,dark,val\n1.png,light,train", "1 rows of a split but train and test: line 2: 0.png"),
    ],
)
def test_a_table_that_cannot_be_used_gets_a_sentence(text: str | bytes, sentence: str, folder: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        csv_table.read(write(folder, text))


def test_a_file_that_is_no_image_is_named(folder: Path) -> None:
    (folder / "5.png").write_text("no image")
    with pytest.raises(DataError, match=r"5\.png cannot be read"):
        csv_table.read(write(folder, "\n".join(["path,label", *rows()])))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "none", "has no table"),
        (lambda folder: folder, "has no table"),
        (
            lambda folder: [write(folder, "", name) for name in ("a.csv", "b.csv")] and folder,
            r"2 tables \(a\.csv, b\.csv\)",
        ),
    ],
)
def test_a_folder_has_one_table(make: Callable[[Path], Path], sentence: str, folder: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        csv_table.read(make(folder))


def test_parquet_is_read_like_csv(folder: Path, tmp_path: Path) -> None:
    expected = csv_table.read(write(folder, "\n".join(["path,label", *rows()])))
    split = [row.split(",") for row in rows()]
    labels = pyarrow.array([label for _, label in split]).dictionary_encode()
    parquet.write_table(pyarrow.table({"label": labels, "path": [path for path, _ in split]}), folder / "a.parquet")
    raw = sources.load(Data(source="parquet", path=folder))
    np.testing.assert_array_equal(raw.train[0], expected.train[0])
    np.testing.assert_array_equal(raw.train[1], expected.train[1])
    assert raw.classes == expected.classes
    numbers = {"path": [path for path, _ in split] + [None], "label": [len(label) for _, label in split] + [3]}
    parquet.write_table(pyarrow.table(numbers), folder / "a.parquet")
    raw = sources.load(Data(source="parquet", path=folder / "a.parquet"))
    assert raw.classes == ("4", "5")
    assert raw.files is not None
    assert raw.files.left_out == {listed_images.NO_PATH: ("row 25: ",)}


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (b"PAR1 no", "cannot be read as Parquet"),
        ({"path": ["0.png"], "label": [1.5]}, "column label holds a float. Give texts, or integers"),
        ({"path": [{"bytes": b""}], "label": [1]}, "column path holds a dict"),
        ({"path": ["0.png"]}, "needs a path and a label: label is one of"),
    ],
)
def test_parquet_that_cannot_be_used_gets_a_sentence(made: object, sentence: str, folder: Path) -> None:
    file = folder / "table.parquet"
    if isinstance(made, bytes):
        file.write_bytes(made)
    else:
        parquet.write_table(pyarrow.table(made), file)
    with pytest.raises(DataError, match=sentence):
        sources.load(Data(source="parquet", path=folder))
