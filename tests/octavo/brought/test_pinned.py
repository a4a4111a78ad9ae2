"""A network of a registry is used only if it is pinned and its file is the pinned one."""

import re
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from octavo.brought import pin_check, pinned
from octavo.project.code import stages
from octavo.project.errors import ParamsError
from octavo.project.params.params import load_params
from octavo.project.setting_up import needed_extras
from octavo_stages import bring, check
from tests.architecture.source_tree import ROOT
from tests.octavo.onnx_graph.foreign.made import classifier

FILE = Path("models/shared.onnx")
URI = "models:/door@champion"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()


def ask(source: str = "shared", **shared: Any) -> None:
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    written |= {"brought": {"shared": shared}, "variants": {"onnx_fp32": {"source": source, "recipe": "onnx_fp32"}}}
    Path("params.yaml").write_text(yaml.safe_dump(written))


def fetched(**save: Any) -> dict[str, Any]:
    FILE.parent.mkdir(exist_ok=True)
    onnx.save(classifier(), FILE, **save)
    return {"uri": URI, "version": 3, "sha256": pinned.digest(FILE), "file": str(FILE)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": None, "sha256": None, "file": None}, "not pinned to a version. Run octavo pin shared."),
        ({"version": None, "sha256": None}, "models:/door@champion, not pinned to a version. Run octavo pin shared."),
        ({"uri": "models:/door/4"}, "names version 4, and version is 3. Run octavo pin --update shared."),
        ({"file": "models/moved.onnx"}, "file is models/moved.onnx, which is no file. Run octavo pin shared."),
        ({"file": "models/folder.onnx"}, "file is models/folder.onnx, which is no file. Run octavo pin shared."),
        ({"sha256": "0" * 64}, f"brought.shared.sha256 is {'0' * 64}. Move it away, then run octavo pin shared."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stage", [check.main, lambda: bring.main("shared")], ids=["check", "bring"])
def test_what_is_not_the_pinned_file_is_refused(
    stage: Any, changed: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = fetched() | changed
    Path("models/folder.onnx").mkdir()
    ask(**entry)
    with pytest.raises(SystemExit) as ended:
        stage()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    (found,) = pin_check.check()
    assert not found.ok
    assert said.endswith(found.todo)
    assert not Path("artifacts").exists()


def test_what_is_pinned_passes_and_a_changed_weight_does_not() -> None:
    entry = fetched(save_as_external_data=True, location="shared.onnx.data", size_threshold=100)
    ask(**entry)
    check.main()
    (found,) = pin_check.check()
    assert (found.ok, found.said) == (True, "models/shared.onnx is the pinned version 3")
    data = FILE.with_name("shared.onnx.data")
    data.write_bytes(data.read_bytes()[::-1])
    with pytest.raises(SystemExit):
        check.main()


def test_one_that_no_variant_needs_holds_nothing_up() -> None:
    ask("fp32", uri=URI)
    check.main()
    assert "mlflow" in needed_extras.of(load_params())


def test_other_entries_keep_their_digest_and_a_pin_counts() -> None:
    ask(file="models/net.onnx")
    assert stages.digests(load_params())["brought"].startswith("049f19102f46")
    entry = fetched()
    ask(**entry)
    first = stages.digests(load_params())
    ask(**entry | {"version": 4})
    assert stages.digests(load_params())["brought"] != first["brought"]
    ask(uri=URI)
    with pytest.raises(ParamsError, match=r"models:/door@champion is not pinned to a version yet. Run octavo pin"):
        stages.digests(load_params())


def test_where_a_network_comes_from_is_said() -> None:
    ask(**fetched())
    assert load_params().brought["shared"].origin == "brought as models:/door@champion, version 3"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        *(
            ({"uri": uri}, "Input should be models:/NAME@ALIAS or models:/NAME/VERSION, got ")
            for uri in (
                "runs:/0a1b/model", "s3://bucket/model", "https://user:word@mlflow.example.org/model", "door@champion",
                "models:/door", "models:/door/latest", "models:/door/0", "models:/door/1/", "models:/door/1/data",
                "models:/door@", "models:/@champion", "models://profile@databricks/door/1", "models:/../door/1",
                "models:/door@champion\n", "models:/a#b@champion", "models:/m-0123456789abcdef", "",
            )
        ),
        ({"uri": 3}, "brought.shared.uri: Input should be a valid string"),
        ({}, "brought.shared: Field required: file, or uri"),
        ({"url": URI}, "Unknown key 'url'. Did you mean 'uri'? Known: file, uri, version, sha256, build"),
        ({"uri": URI, "file": "net.pt"}, "brought.shared.file: Input should be a file in one of .onnx, .keras, .h5"),
        ({"uri": URI, "version": 1}, "version, sha256 and file go together. Remove version and sha256, then"),
        ({"uri": URI, "sha256": "0" * 64, "file": "net.onnx"}, "version, sha256 and file go together"),
        ({"uri": URI, "version": 1, "sha256": "0" * 64}, "version, sha256 and file go together"),
        ({"uri": URI, "version": 0, "sha256": "0" * 64, "file": "net.onnx"}, "brought.shared.version: Input"),
        ({"uri": URI, "version": 1, "sha256": "abc", "file": "net.onnx"}, "brought.shared.sha256: "),
        ({"version": 1, "file": "net.onnx"}, "version is for an entry with a uri. Remove it, or add uri: models:/"),
        ({"uri": URI, "build": "small_cnn", "file": "net.h5"}, "build is for weights in an .h5 file, got 'models:/"),
    ],
)  # fmt: skip
def test_entries_are_checked(entry: dict[str, Any], said: str) -> None:
    ask(**entry)
    with pytest.raises(ParamsError, match=re.escape(said)) as failed:
        load_params()
    assert "\n" not in str(failed.value)
