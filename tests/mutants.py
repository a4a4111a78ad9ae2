"""Valid files of every kind that Octavo reads, what reads them, and what may happen to their bytes."""

import hashlib
import io
import json
import random
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import TensorProto, helper
from PIL import Image

from octavo.backends import registry
from octavo.backends.litert import inspection as litert_operators
from octavo.backends.litert import interpreter as litert_runtime
from octavo.backends.litert import macs as litert_macs
from octavo.backends.litert import parameters as litert_parameters
from octavo.backends.litert import stored_integers as litert_stored_integers
from octavo.backends.litert.content import file, model
from octavo.backends.onnxruntime import inspection as onnx_operators
from octavo.backends.onnxruntime import macs as onnxruntime_macs
from octavo.backends.onnxruntime import parameters as onnxruntime_parameters
from octavo.backends.onnxruntime import session as onnx_runtime
from octavo.backends.onnxruntime import values
from octavo.backends.registry import open_model
from octavo.data import prepare, splits
from octavo.data.sources import image_file, npz
from octavo.evaluation import integer_coverage, scorecard
from octavo.onnx_graph import canonicalize, file_io, structure
from octavo.onnx_graph import stored_integers as onnx_stored_integers
from octavo.onnx_graph.rewrites import network_input
from octavo.project.files import damage, json_file, npy_file, yaml_file
from octavo.project.git import revision
from octavo.project.params.data import Data
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.params import load_params
from octavo.promotion import audit_record, decision, evidence
from octavo.promotion.evidence import Grounds, judge
from octavo.quantization import calibration, ptq
from octavo.quantization.litert.kernels import LITERT
from octavo.quantization.litert.writing import write
from octavo.quantization.recipes.onnx.fp16 import store_weights
from octavo.reporting.documents import signature
from octavo_mlflow.flavors import image_input
from octavo_mlflow.nightly import record as nightly_record
from octavo_mlflow.serving import answers
from octavo_mlflow.serving import record as serving_record
from tests import keys, litert_files
from tests.octavo import conftest, onnx_graphs
from tests.octavo_mlflow import measured_project

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file."""

    make: Callable[[], list[bytes]]
    """Valid files."""
    read: Callable[[Path], Any]
    suffix: str
    modules: Sequence[ModuleType]
    """That do it."""
    own: tuple[type[Exception], ...] = ()
    """Exceptions that its callers are told of, besides Octavo's."""
    text: bool = False
    mended: Callable[[bytes], bytes] | None = None
    """Makes checksums right again, so that what is behind them is reached."""

    @property
    def seeds(self) -> list[bytes]:
        return _made(self.make)


@cache
def _made(make: Callable[[], list[bytes]]) -> list[bytes]:
    return make()


def mutated(reader: Reader, chance: random.Random) -> bytes:
    """One of the reader's seeds with one mutation or a few."""
    content = bytearray(chance.choice(reader.seeds))
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        if content:
            chance.choice([*MUTATIONS, *([_text] * 6 if reader.text else [])])(content, chance)
    return reader.mended(bytes(content)) if reader.mended and chance.random() < 0.7 else bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    """Anywhere; headers come first, so the beginning is more likely."""
    return int(len(content) * chance.random() ** chance.choice([1, 1, 3]))


def _flip(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _byte(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] = chance.randrange(256)


def _number(content: bytearray, chance: random.Random) -> None:
    """A length, an offset or a tag becomes another."""
    size, place = chance.choice([1, 2, 4, 8]), _place(content, chance)
    value = chance.choice([0, 1, 2**31, 2**31 - 1, 2**63, 2 ** (8 * size) - 1, chance.randrange(256), len(content)])
    big = (value % 2 ** (8 * size)).to_bytes(size, "big")
    content[place : place + size] = chance.choice([big, big[::-1]])


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[_place(content, chance) :]


def _remove(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance)
    del content[place : place + chance.randrange(1, 32)]


def _repeat(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance)
    content[place:place] = content[place : place + chance.randrange(1, 64)] * chance.choice([1, 1, 2, 100])


def _splice(content: bytearray, chance: random.Random) -> None:
    """A piece from elsewhere in the file."""
    place, other, size = _place(content, chance), _place(content, chance), chance.randrange(1, 64)
    content[place : place + size] = content[other : other + size]


def _text(content: bytearray, chance: random.Random) -> None:
    """A word or number of a text becomes another, an extreme one or one of its own."""
    words = list(re.finditer(rb'"[^"\n]*"|[\w.+-]+', bytes(content)))
    if words:
        word, other = chance.choice(words), chance.choice(words)
        content[word.start() : word.end()] = chance.choice([*WORDS, other[0], other[0]])


MUTATIONS = (_flip, _byte, _number, _number, _cut, _remove, _repeat, _splice)
WORDS = (
    b"NaN", b"-Infinity", b"1e999", b".inf", b"null", b"true", b"-1", b"0", b"1.5", b"{}", b"[]", b'""', b'"\\ud800"',
    b"9" * 5000, b"[" * 2000, b'{"a":' * 200, b"\xff", b'"\\u0000"', b"2026-02-30", b"!!int x", b"&a [*a]", b"<<: *a",
    b"!!python/name:os.system", b"- ? :", b"'", b"2" * 25,
)  # fmt: skip


def _with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them."""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return content
    made, place = bytearray(content), 8
    while place + 12 <= len(made):
        end = place + 8 + int.from_bytes(made[place : place + 4], "big")
        made[end : end + 4] = zlib.crc32(made[place + 4 : end]).to_bytes(4, "big") if end + 4 <= len(made) else b""
        place = end + 4
    return bytes(made)


def _images() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 16, 3), dtype=np.uint8)
    colour = Image.fromarray(pixels)
    grey, indexed, bits = colour.convert("L"), colour.convert("P"), colour.convert("1")
    exif = Image.Exif()
    exif[274] = 6
    ways: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *[(image, kind, {}) for image in (grey, colour) for kind in ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")],
        *[(image, kind, {}) for image in (indexed, bits) for kind in ("BMP", "GIF", "PNG", "TIFF")],
        *[(grey, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")],
        *[(bits, "TIFF", {"compression": name}) for name in ("group3", "group4", "tiff_ccitt")],
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("CMYK"), "TIFF", {}),
        (colour.convert("RGBA"), "PNG", {"exif": exif}),
        (colour, "JPEG", {"progressive": True, "exif": exif}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "MPO", {"save_all": True, "append_images": [colour]}),
        (indexed, "GIF", {"save_all": True, "append_images": [indexed.rotate(90)]}),
        (colour, "PNG", {"save_all": True, "append_images": [colour.rotate(90)]}),
    ]
    return [_saved(*way) for way in ways]


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _archives() -> list[bytes]:
    rng = np.random.default_rng(0)
    own: dict[str, np.ndarray] = {"x_train": rng.integers(0, 9, (6, 4, 4), dtype=np.uint8), "y_train": np.arange(6) % 2}
    own |= {"x_test": own["x_train"][:4], "y_test": own["y_train"][:4]}
    made = []
    for method in (0, 8, 12, 14):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, array in own.items():
                archive.writestr(f"{name}.npy", _npy(array))
        made.append(out.getvalue())
    return made


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _arrays() -> list[bytes]:
    floats = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    return [_npy(each) for each in (floats, np.arange(5), np.asfortranarray(floats[0]), np.zeros((0, 3), np.uint8))]


def _manifests() -> list[bytes]:
    with TemporaryDirectory() as folder:
        return [prepare.prepare(Data(source="digits"), Path(folder)).model_dump_json(indent=2).encode()]


def _moves() -> list[bytes]:
    move = audit_record.Move(
        sequence=1, parent=audit_record.ORIGIN, when="2026-01-02T03:04:05+00:00", who="me", action="promote", model="m",
        variant="onnx_int8", version="3", before={}, after={"champion": "3"}, note=None, digests={"model": "a" * 64},
        reasons=(decision.Reason(rule=decision.Rule.SIZE, value=0.3, limit=0.5, found=decision.Judgement.OK),),
    )  # fmt: skip
    return [move.line().encode()]


def _decisions() -> list[bytes]:
    policy = load_params(ROOT / "params.yaml").policy
    reason = decision.Reason(
        rule=decision.Rule.ACCURACY, value=0.01, limit=0.02, found=decision.Judgement.OK, interval=(0.0, 0.01)
    )
    verdict = decision.Verdict(variant="onnx_int8", verdict="pass", reasons=(reason,))
    whole = decision.Decision(winner="onnx_int8", baseline="onnx_fp32", policy=policy, verdicts=(verdict,))
    return [whole.model_dump_json(indent=2).encode()]


def _scorecards() -> list[bytes]:
    cards = [conftest.scorecard(name) for name in ("onnx_fp32", "onnx_int8_static")]
    whole = scorecard.Scorecards(pipeline="p", machine={"cpu": "x"}, data={"classes": ["a"]}, scorecards=cards)
    return [whole.model_dump_json(by_alias=True, indent=2).encode()]


def _params() -> list[bytes]:
    return [(ROOT / "params.yaml").read_bytes(), (ROOT / "dvc.yaml").read_bytes()[:4000]]


def _locks() -> list[bytes]:
    outs = [{"path": f"data/{name}", "md5": "a" * 32, "size": 12} for name in ("train", "test")]
    return [yaml.safe_dump({"schema": "2.0", "stages": {"prepare": {"cmd": "python", "outs": outs}}}).encode()]


def _onnx() -> list[bytes]:
    plain = onnx_graphs.stack(1)
    loop = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["state", "one"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [None, 3]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [None, 3]),
        ],
        [onnx.numpy_helper.from_array(np.ones(3, np.float32), "one")],
    )
    turning = onnx.ModelProto()
    turning.CopyFrom(plain)
    turning.graph.node[-1].output[0] = "last"
    turning.graph.node.append(helper.make_node("Loop", ["trips", "", "last"], ["y"], body=loop))
    turning.graph.initializer.append(onnx.numpy_helper.from_array(np.array(2), "trips"))
    outside = onnx.ModelProto()
    outside.CopyFrom(plain)
    (weights,) = [tensor for tensor in outside.graph.initializer if tensor.name == "c0_w"]
    size = len(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.data", "offset": "0", "length": str(size)}.items():
        weights.external_data.add(key=key, value=value)
    return [each.SerializeToString() for each in (plain, turning, outside)]


def _litert() -> list[bytes]:
    return [
        litert_files.dense().content(),
        litert_files.dense(np.float32, np.float32).content(),
        litert_files.dense(np.uint8, np.uint8).content(),
        *_written(),
    ]


def _written() -> list[bytes]:
    """LiteRT files that Octavo writes: float, with float16 weights, in integers, and one that declares its input."""
    plain, halved, declared = (onnx_graphs.stack(2) for _ in range(3))
    store_weights(halved)
    network_input.declare(declared, InputEncoding(mean=(0.5,), layout="channels_first"))
    seen = calibration.observe(plain, ptq.points(plain, kernels=LITERT), onnx_graphs.images())
    whole = ptq.quantize(plain, {name: calibration.min_max(each) for name, each in seen.items()}, kernels=LITERT)
    floats = [write(graph, (4, 8, 8)).content for graph in (plain, halved, declared)]
    return floats + [write(whole, (4, 8, 8), ends=ends).content for ends in ("float32", "int8")]


def _read_model(path: Path) -> None:
    """All that is asked of a model file before it runs on images of a project."""
    path.with_name("weights.data").write_bytes(bytes(4096))
    opened = open_model(path)
    integer_coverage.interface(path)
    integer_coverage.output_step(path)
    integer_coverage.prove(path)
    integer_coverage.measure_size(path, path)
    registry.backend_of(path).stored_integers(path)
    del opened


def _read_arrays(path: Path) -> None:
    npy_file.mapped(path).sum()


def _grounds() -> list[bytes]:
    whole = scorecard.Scorecards.model_validate_json(_scorecards()[0])
    policy = load_params(ROOT / "params.yaml").policy
    made = Grounds(
        variant="onnx_int8_static", baseline="onnx_fp32", policy=policy, scorecards=whole, same_answers=1.0, beside={}
    )
    return [made.model_dump_json(by_alias=True, indent=1).encode()]


def _read_grounds(path: Path) -> None:
    """As the gate server does: what contradicts itself is told, and not judged."""
    read = json_file.parse_record(path.read_bytes().decode("utf-8", "replace"), Grounds)
    if not list(evidence.faults(read)):
        judge(read)


def _nights() -> list[bytes]:
    begun = nightly_record.begin().model_copy(
        update={"name": "2026-01-02", "steps": (nightly_record.NightStep(name="build", seconds=1.5),)}
    )
    return [begun.model_dump_json(indent=1).encode(), begun.end("kept", "because").model_dump_json(indent=1).encode()]


def _key(folder: Path) -> keys.Keys:
    return keys.make(folder, "signing", key=ec.derive_private_key(2**200 + 9, ec.SECP256R1()))


def _signed(place: Path) -> Path:
    folder = place / "signed"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


def _signatures() -> list[bytes]:
    with TemporaryDirectory() as place:
        folder = _signed(Path(place))
        signature.sign(folder, _key(Path(place)).private, None)
        return [(folder / signature.FILE).read_bytes()]


def _read_signature(path: Path) -> None:
    with TemporaryDirectory() as place:
        folder = _signed(Path(place))
        path.rename(folder / signature.FILE)
        signature.verify(folder, _key(Path(place)).public)


def _public_keys() -> list[bytes]:
    with TemporaryDirectory() as place:
        return [_key(Path(place)).public.read_bytes()]


def _read_public_key(path: Path) -> None:
    with TemporaryDirectory() as place:
        folder = _signed(Path(place))
        (folder / signature.FILE).write_bytes(READERS["model.sig"].seeds[0])
        signature.verify(folder, path)


def _deployment(folder: Path) -> Path:
    content = measured_project.onnx_bytes()
    (folder / "model.onnx").write_bytes(content)
    serving_record.save(
        serving_record.Deployment(
            name="cam", model_uri="models:/m/1", version="models:/m/1", variant="onnx_fp32", flavor="onnx",
            file="model.onnx", sha256=hashlib.sha256(content).hexdigest(), dtype="float32", shape=(-1, 4, 4),
            classes=["a", "b", "c"], settings=serving_record.Settings(),
        ),
        folder,
    )  # fmt: skip
    return folder / serving_record.RECORD


def _deployments() -> list[bytes]:
    with TemporaryDirectory() as place:
        return [_deployment(Path(place)).read_bytes()]


def _read_deployment(path: Path) -> None:
    serving_record.load(path.rename(path.with_name(serving_record.RECORD)).parent)


@cache
def _model() -> answers.ServedModel:
    with TemporaryDirectory() as place:
        return answers.ServedModel(_deployment(Path(place)).parent)


def _requests() -> list[bytes]:
    images = np.arange(32, dtype=np.float32).reshape(2, 4, 4) / 32
    asked = {"inputs": images.tolist(), "params": {"dtype": "float32", "classes": True}}
    pixels = {"instances": (images * 255).astype(int).tolist(), "params": {"dtype": "uint8"}}
    return [json.dumps(each).encode() for each in (asked, pixels)]


def _read_request(path: Path) -> None:
    _model().answer(_model().read(path.read_bytes()))


READERS = {
    "npz": Reader(_archives, npz.read, ".npz", (npz, npy_file)),
    "npy": Reader(_arrays, _read_arrays, ".npy", (npy_file,), (npy_file.UnreadableArray,)),
    "images": Reader(_images, image_file.read, ".img", (image_file,), mended=_with_checksums),
    "params.yaml": Reader(_params, load_params, ".yaml", (yaml_file,), text=True),
    "dvc.lock": Reader(
        _locks,
        lambda path: revision.stages(path.read_bytes()),
        ".lock",
        (yaml_file, revision),
        (yaml.YAMLError, KeyError, TypeError, ValueError),
        text=True,
    ),
    "manifest.json": Reader(_manifests, splits.load_manifest, ".json", (json_file,), text=True),
    "scorecards.json": Reader(_scorecards, scorecard.load_scorecards, ".json", (json_file,), text=True),
    "decision.json": Reader(_decisions, decision.load_decision, ".json", (json_file,), text=True),
    "audit log": Reader(
        _moves, audit_record.read, ".jsonl", (json_file, audit_record), text=True
    ),
    "layers.json": Reader(
        lambda: [json.dumps({"a": "conv2d", "b": "dense"}).encode()],
        lambda path: canonicalize.layers(path.rename(path.with_name("layers.json"))),
        ".json",
        (json_file,),
        text=True,
    ),
    "grounds": Reader(_grounds, _read_grounds, ".json", (json_file, evidence), (json_file.Unreadable,), text=True),
    "night": Reader(_nights, nightly_record._read, ".json", (json_file, nightly_record), text=True),
    "model.sig": Reader(_signatures, _read_signature, ".sig", (signature,), text=True),
    "public key": Reader(_public_keys, _read_public_key, ".pem", (signature,)),
    "deployment.json": Reader(_deployments, _read_deployment, ".json", (json_file, serving_record), text=True),
    "scoring request": Reader(_requests, _read_request, ".json", (answers, image_input), text=True),
    "onnx": Reader(
        _onnx,
        _read_model,
        ".onnx",
        (
            file_io, structure, onnx_runtime, onnx_operators, onnxruntime_parameters, values, onnxruntime_macs,
            onnx_stored_integers, damage,
        ),
    ),
    "litert": Reader(
        _litert,
        _read_model,
        ".tflite",
        (model, litert_runtime, litert_operators, file, litert_parameters, litert_macs, litert_stored_integers),
    ),
}  # fmt: skip
