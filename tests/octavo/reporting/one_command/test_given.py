"""What the user gives: data of every kind, divided by content, in the form that the network takes."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from pyarrow import parquet

from octavo.data.input_encoding import encode
from octavo.project.errors import DataError, ModelError
from octavo.reporting.one_command.given import division, examples, fitting, network, preparing
from octavo.reporting.one_command.given.fitting import Encoding
from octavo.reporting.one_command.given.network import FloatNetwork
from octavo.reporting.one_command.given.pool import Loaded, Pool
from octavo.reporting.one_command.given.preparing import Prepared
from tests.octavo.reporting.one_command import patterns

Shape = tuple[int | None, ...]


def taking(*shape: int | str, kind: int = TensorProto.FLOAT, outputs: int = 1) -> onnx.ModelProto:
    """A network that takes examples of a shape."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], [f"y{n}"]) for n in range(outputs)],
        "g",
        [helper.make_tensor_value_info("x", kind, ["N", *shape])],
        [helper.make_tensor_value_info(f"y{n}", kind, None) for n in range(outputs)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def read(tmp_path: Path, *shape: int | str, layout: Any = None) -> FloatNetwork:
    onnx.save(taking(*shape), tmp_path / "net.onnx")
    return network.read(tmp_path / "net.onnx", layout)


class TestNetwork:
    @pytest.mark.parametrize(
        ("shape", "layout", "size"),
        [
            ((3, 8, 9), "nchw", (8, 9)),
            ((8, 9, 3), "nhwc", (8, 9)),
            ((1, "H", "W"), "nchw", None),
            (("H", "W", 4), "nhwc", None),
            ((28, 28), None, (28, 28)),
            ((784,), None, None),
        ],
    )
    def test_its_layout_is_read_from_the_shape(
        self, tmp_path: Path, shape: tuple[int | str, ...], layout: str | None, size: tuple[int, int] | None
    ) -> None:
        found = read(tmp_path, *shape)
        assert (found.layout, found.size) == (layout, size)

    @pytest.mark.parametrize("shape", [(3, 3, 3), (12, 32, 32), ("C", "H", "W")])
    def test_an_open_layout_is_asked_for(self, tmp_path: Path, shape: tuple[int | str, ...]) -> None:
        with pytest.raises(ModelError, match="--layout nchw or --layout nhwc"):
            read(tmp_path, *shape)
        assert read(tmp_path, *shape, layout="nchw").layout == "nchw"

    def test_two_outputs_are_named(self, tmp_path: Path) -> None:
        onnx.save(taking(4, outputs=2), tmp_path / "net.onnx")
        with pytest.raises(ModelError, match=r"2 outputs \(y0, y1\)"):
            network.read(tmp_path / "net.onnx", None)

    def test_integers_as_input_are_refused(self, tmp_path: Path) -> None:
        onnx.save(taking(4, kind=TensorProto.INT64), tmp_path / "net.onnx")
        with pytest.raises(ModelError, match="int64"):
            network.read(tmp_path / "net.onnx", None)

    def test_weights_among_the_inputs_are_none(self, tmp_path: Path) -> None:
        """Old exporters list them there."""
        model = taking(4)
        model.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "w"))
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4]))
        onnx.save(model, tmp_path / "net.onnx")
        assert [value.name for value in network.read(tmp_path / "net.onnx", None).foreign.model.graph.input] == ["x"]


class TestFitting:
    @pytest.mark.parametrize(
        ("takes", "given", "fed"),
        [
            ((1, 8, 9), (8, 9), (1, 8, 9)),
            ((3, 8, 9), (8, 9), (3, 8, 9)),
            ((3, 8, 9), (8, 9, 3), (3, 8, 9)),
            ((3, 8, 9), (3, 8, 9), (3, 8, 9)),
            ((8, 9, 3), (8, 9), (8, 9, 3)),
            ((3, "H", "W"), (5, 6, 3), (3, 5, 6)),
            ((8, 9), (8, 9), (8, 9)),
            ((72,), (8, 9), (72,)),
            ((72,), (72,), (72,)),
            ((1, 8, 9), (1, 1, 8, 9), (1, 8, 9)),
        ],
    )
    def test_examples_get_the_shape_that_the_network_takes(
        self, tmp_path: Path, takes: tuple[int | str, ...], given: tuple[int, ...], fed: tuple[int, ...]
    ) -> None:
        net, pixels = read(tmp_path, *takes), np.random.default_rng(0).integers(0, 256, (2, *given), np.uint8)
        stored = fitting.stored(pixels, net, Counter())
        got = encode(stored, fitting.encoding(stored, net, Encoding()))
        assert got.shape == (2, *fed)
        assert sorted(set(got.ravel())) == sorted(set((pixels.astype(np.float32) / np.float32(255)).ravel()))

    def test_arrays_with_channels_first_get_the_mean_of_each_channel(self, tmp_path: Path) -> None:
        net, pixels = read(tmp_path, 3, 8, 9), np.random.default_rng(0).integers(0, 256, (2, 3, 8, 9), np.uint8)
        stored = fitting.stored(pixels, net, Counter())
        got = encode(stored, fitting.encoding(stored, net, Encoding(1.0, (1.0, 2.0, 3.0), (2.0,))))
        wanted = (pixels.astype(np.float32) - np.array([1, 2, 3], np.float32).reshape(3, 1, 1)) / np.float32(2)
        assert np.array_equal(got, wanted)

    def test_colour_becomes_grey_only_without_a_loss(self, tmp_path: Path) -> None:
        net, pixels = read(tmp_path, 1, 5, 5), np.full((2, 5, 5, 3), 7, np.uint8)
        changed: Counter[str] = Counter()
        assert fitting.stored(pixels, net, changed).shape == (2, 5, 5, 1)
        assert changed.total() == 2
        pixels[1, 2, 2, 0] = 8
        with pytest.raises(DataError, match="in colour, and the model takes one channel"):
            fitting.stored(pixels, net, changed)

    def test_other_shapes_are_told_both(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"\(5, 5, 3\), and the model takes \(3, 8, 8\), NCHW"):
            fitting.stored(np.zeros((1, 5, 5, 3), np.uint8), read(tmp_path, 3, 8, 8), Counter())

    def test_floats_are_not_scaled(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="--std instead"):
            fitting.encoding(np.zeros((1, 5, 5, 3), np.float32), read(tmp_path, 5, 5, 3), Encoding(2.0))


class TestExamples:
    def test_class_folders(self, tmp_path: Path) -> None:
        patterns.folder(tmp_path, 12)
        (tmp_path / "empty").mkdir()
        (tmp_path / "rows" / "notes.txt").write_text("")
        found, test = examples.read(tmp_path)
        assert test is None
        assert found.classes == ("checks", "columns", "diagonals", "empty", "rows")
        assert found.labels is not None
        assert Counter(found.labels.tolist()) == {0: 3, 1: 3, 2: 3, 4: 3}
        assert "notes.txt" in found.remarks[0]
        loaded = found.load(np.arange(12), None)
        assert sorted(image.tobytes() for image in loaded.examples) == sorted(
            image.tobytes() for image in patterns.images(12)[0]
        )

    @pytest.mark.parametrize("parent", [".", "all"])
    def test_one_folder_has_no_labels(self, tmp_path: Path, parent: str) -> None:
        patterns.folder(tmp_path / parent, 5, labelled=False)
        found, _ = examples.read(tmp_path)
        assert found.labels is None
        assert len(found) == 5
        assert len(found.remarks) == (parent == "all")

    def test_a_folder_with_its_own_test(self, tmp_path: Path) -> None:
        patterns.folder(tmp_path / "train", 12)
        patterns.folder(tmp_path / "test", 8, seed=1)
        found, test = examples.read(tmp_path)
        assert test
        assert (len(found), len(test)) == (12, 8)

    def test_images_are_resized_and_that_is_counted(self, tmp_path: Path) -> None:
        patterns.folder(tmp_path, 4, labelled=False)
        Image.new("RGB", (20, 30)).save(tmp_path / "other.png")
        found, _ = examples.read(tmp_path)
        loaded = found.load(np.arange(5), (16, 16))
        assert loaded.examples.shape == (5, 16, 16, 3)
        assert [n for change, n in loaded.changed.items() if "resized" in change] == [1]
        with pytest.raises(DataError, match="of any size"):
            found.load(np.arange(5), None)

    def test_turned_photos_have_their_upright_size(self, tmp_path: Path) -> None:
        image, exif = Image.new("RGB", (20, 30)), Image.Exif()
        exif[274] = 6
        image.save(tmp_path / "turned.jpg", exif=exif)
        loaded = examples.read(tmp_path)[0].load(np.arange(1), (20, 30))
        assert loaded.examples.shape == (1, 20, 30, 3)
        assert not loaded.changed

    @pytest.mark.parametrize(
        ("names", "n", "labelled"),
        [
            (("x", "y"), 6, True),
            (("images",), 6, False),
            (("whatever",), 6, False),
            (("x_train", "y_train", "x_test", "y_test"), 6, True),
        ],
    )
    def test_archives(self, tmp_path: Path, names: tuple[str, ...], n: int, labelled: bool) -> None:
        pixels, labels = patterns.images(6)
        arrays: dict[str, Any] = {name: labels if name.startswith("y") else pixels for name in names}
        np.savez(tmp_path / "a.npz", **arrays)
        found, test = examples.read(tmp_path / "a.npz")
        assert len(found) == n
        assert (found.labels is not None) == labelled
        assert (test is not None) == (len(names) == 4)

    def test_npy_files(self, tmp_path: Path) -> None:
        for place, image in enumerate(patterns.images(5)[0]):
            np.save(tmp_path / f"{place}.npy", image)
        assert len(examples.read(tmp_path)[0]) == 5
        assert len(examples.read(tmp_path / "0.npy")[0]) == 16
        np.save(tmp_path / "3.npy", np.zeros((2, 2), np.uint8))
        with pytest.raises(DataError, match=r"of one shape"):
            examples.read(tmp_path)

    def test_nothing_is_unpickled(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=np.array([{}], object))
        np.save(tmp_path / "a.npy", np.array([{}], object))
        for name in ("a.npz", "a.npy"):
            with pytest.raises(DataError, match="cannot be read"):
                examples.read(tmp_path / name)

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"a": np.zeros((2, 2)), "b": np.zeros((2, 2))}, "Call the examples x"),
            ({"x": np.zeros((2, 2)), "y": np.zeros(3, int)}, "for 2 examples"),
            ({"x": np.zeros((2, 2)), "y": np.array([0, -1])}, "run from -1"),
            ({"x": np.zeros((2, 2)), "y": np.array([0, 2**40])}, "Give the index of an output"),
            ({"x": np.zeros((2, 2), int)}, "int64"),
            ({"x": np.full((2, 2), np.nan)}, "2 examples .* NaN or infinite"),
        ],
    )
    def test_arrays_that_cannot_be_used(self, tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(DataError, match=said):
            examples.read(tmp_path / "a.npz")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x93NUMPY"])
    def test_damaged_files(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz cannot be read"):
            examples.read(tmp_path / "a.npz")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="No images in"):
            examples.read(tmp_path)


class TestDivision:
    def pool(self, numbers: list[int], labels: list[int] | None = None) -> Pool:
        """Examples that are told apart by a number."""
        digests = np.array([number.to_bytes(16, "little") for number in numbers], "S16")
        kept = np.array(numbers)
        return Pool(
            digests,
            lambda places, _: Loaded(kept[places], {}),
            str,
            None if labels is None else np.array(labels, np.int64),
        )

    def test_every_example_is_in_one_split(self) -> None:
        parts = division.divide(self.pool(list(range(1, 501))), None, None)
        places = np.concatenate([part.places for part in parts.values()])
        assert sorted(places) == list(range(500))
        assert 0.5 < len(parts["test"].places) / 500 < 0.7

    def test_splits_stay_when_others_are_added(self) -> None:
        few, many = (division.divide(self.pool(list(range(1, n))), None, None) for n in (101, 301))
        for name, part in few.items():
            assert set(part.places) <= set(many[name].places), name

    def test_copies_are_in_one_split(self) -> None:
        parts = division.divide(self.pool([*range(1, 41), *range(1, 41)]), None, None)
        for part in parts.values():
            assert sorted(part.places[part.places < 40]) == sorted(part.places[part.places >= 40] - 40)

    @pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 1], [5, 5, 5]])
    def test_three_examples_are_enough_to_be_divided(self, labels: list[int]) -> None:
        parts = division.divide(self.pool([1, 2, 3], labels), None, None)
        assert [len(part.places) for part in parts.values()] == [1, 1, 1]

    def test_two_are_too_few(self) -> None:
        with pytest.raises(DataError, match="2 different examples"):
            division.divide(self.pool([1, 2, 2]), None, None)

    def test_what_is_given_apart_is_taken_whole(self) -> None:
        data, other = self.pool(list(range(1, 101))), self.pool([1000, 1001])
        parts = division.divide(data, None, other)
        assert len(parts["test"].places) == 2
        assert len(parts["calibration"].places) + len(parts["selection"].places) == 100
        assert len(division.divide(data, other, other)["selection"].places) == 100

    def test_large_data_are_not_used_up(self) -> None:
        parts = division.divide(self.pool(list(range(1, 30_001))), None, None)
        assert {name: len(part.places) for name, part in parts.items()} == division.MOST

    def test_rare_classes_do_not_stop_it(self) -> None:
        parts = division.divide(self.pool(list(range(1, 63)), [0] * 30 + [1] * 30 + [2, 3]), None, None)
        assert sum(len(part.places) for part in parts.values()) == 62


class TestTables:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_its_rows_are_the_examples(self, tmp_path: Path, kind: str) -> None:
        root = patterns.folder(tmp_path, 60)
        rows = [(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.rglob("*.png"))]
        rows.append(("nothing.png", "rows"))
        table = tmp_path / f"list.{kind}"
        if kind == "csv":
            table.write_text("\n".join(["path,label", *map(",".join, rows)]))
        else:
            parquet.write_table(
                pyarrow.table(dict(zip(("path", "label"), zip(*rows, strict=True), strict=True))), table
            )
        given = preparing.GivenData(table, None, None, Encoding(), unlabelled=False)
        found = preparing.prepare(given, network.read(patterns.network(tmp_path / "net.onnx"), None))
        assert sum(len(each) for each in found.images.values()) == 60
        assert found.classes == patterns.KINDS
        assert any("nothing.png" in said for said in found.remarks)
        pixels, labels = patterns.images(60)
        known = {image.tobytes(): label for image, label in zip(pixels, labels, strict=True)}
        for split, images in found.images.items():
            own = found.labels[split]
            assert own is not None
            assert [known[image.tobytes()] for image in images] == list(own)

    def test_one_label_in_all_rows_is_none(self, tmp_path: Path) -> None:
        root = patterns.folder(tmp_path, 60)
        lines = ["path,label", *(f"{path.relative_to(root)},thing" for path in sorted(root.rglob("*.png")))]
        (root / "list.csv").write_text("\n".join(lines))
        found, test = examples.read(root / "list.csv")
        assert (len(found), found.labels, found.classes, test) == (60, None, None, None)
        assert "labels are ignored" in found.remarks[-1]

    def test_images_are_resized_and_rows_for_the_test_are_the_test(self, tmp_path: Path) -> None:
        root, lines = patterns.folder(tmp_path / "photos", 40), ["path,label,split"]
        for place, path in enumerate(sorted(root.rglob("*.png"))):
            Image.open(path).resize((20, 24)).save(path)
            lines.append(f"{path.relative_to(root)},{path.parent.name},{'test' if place % 4 == 0 else 'train'}")
        (root / "list.csv").write_text("\n".join(lines))
        given = preparing.GivenData(root / "list.csv", None, None, Encoding(), unlabelled=False)
        found = preparing.prepare(given, network.read(patterns.network(tmp_path / "net.onnx"), None))
        assert found.images["test"].shape == (10, 16, 16, 3)
        assert len(found.images["calibration"]) + len(found.images["selection"]) == 30


class TestCopies:
    def given(self, tmp_path: Path, *, twice: bool) -> tuple[Path, Path]:
        """Images of four kinds; some of them saved twice as another file, or once more in another class."""
        root = patterns.folder(tmp_path / "photos", 80)
        for place, path in enumerate(sorted(root.rglob("*.png"))[::4]):
            other = patterns.KINDS[(patterns.KINDS.index(path.parent.name) + 1) % 4]
            kind = path.parent.name if twice else other
            Image.open(path).save(root / kind / f"again{place}.bmp")
        return patterns.network(tmp_path / "net.onnx"), root

    def prepared(self, model: Path, root: Path, test: Path | None = None) -> Prepared:
        given = preparing.GivenData(root, None, test, Encoding(), unlabelled=False)
        return preparing.prepare(given, network.read(model, None))

    def test_a_photo_that_was_saved_twice_counts_once(self, tmp_path: Path) -> None:
        found = self.prepared(*self.given(tmp_path, twice=True))
        assert sum(len(each) for each in found.images.values()) == 80
        pixels = np.concatenate([*found.images.values()])
        assert len(np.unique(pixels.reshape(80, -1), axis=0)) == 80
        assert sum(int(said.split()[0]) for said in found.remarks if "the same pixels" in said) == 20

    def test_equal_photos_in_two_classes_are_said_and_left_out(self, tmp_path: Path) -> None:
        model, root = self.given(tmp_path, twice=False)
        found = self.prepared(model, root)
        assert sum(len(each) for each in found.images.values()) == 60
        assert sum(int(said.split()[0]) for said in found.remarks if "one of the labels is wrong" in said) == 40
        (named,) = [said for said in found.remarks if "are equal" in said]
        one, other = named.removesuffix(" are equal and have different labels: correct one of them.").split(" and ")
        assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))
        assert Path(one).parent != Path(other).parent

    def test_equal_arrays_with_two_labels_are_said_before_the_division(self, tmp_path: Path) -> None:
        pixels, labels = patterns.images(40)
        path = tmp_path / "data.npz"
        np.savez(path, x=np.concatenate([pixels, pixels[:5]]), y=np.concatenate([labels, (labels[:5] + 1) % 4]))
        found = self.prepared(patterns.network(tmp_path / "net.onnx"), path)
        assert sum(len(each) for each in found.images.values()) == 35
        assert found.remarks[0].startswith("10 examples of --data are left out: their copies have other labels")
        assert f"example 0 of {path} and example 40 of {path} are equal" in found.remarks[1]

    def test_copies_in_a_test_given_apart_count_once(self, tmp_path: Path) -> None:
        model = patterns.network(tmp_path / "net.onnx")
        pixels, labels = patterns.images(12, seed=4)
        for part, stored in (("x", np.repeat(pixels, 9, axis=0)), ("y", np.repeat(labels, 9))):
            (tmp_path / "test").mkdir(exist_ok=True)
            np.save(tmp_path / "test" / f"{part}.npy", stored)
        data = tmp_path / "data.npz"
        np.savez(data, x=patterns.images(40)[0], y=patterns.images(40)[1])
        found = self.prepared(model, data, tmp_path / "test")
        assert len(found.images["test"]) == 12

    def test_data_of_copies_with_other_labels_alone_are_refused(self, tmp_path: Path) -> None:
        pixels = np.repeat(patterns.images(1)[0], 8, axis=0)
        np.savez(tmp_path / "data.npz", x=pixels, y=np.arange(8) % 4)
        with pytest.raises(DataError, match="No example of --data can be used"):
            self.prepared(patterns.network(tmp_path / "net.onnx"), tmp_path / "data.npz")
