"""Which files and libraries a module runs, and that every change of them changes its digest."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from octavo.project.code import digests as code_digests
from octavo.project.code.digests import code_of
from octavo.project.errors import ParamsError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root, from which its modules are imported as `python -m` does."""
    root = tmp_path / "project"
    write(
        root,
        {
            "mine.py": "import json\nimport numpy\nimport blocks.conv\nfrom blocks import dense\nimport nowhere\n",
            "blocks/__init__.py": "",
            "blocks/conv.py": "from . import activations\nfrom .deep.norm import Norm\n",
            "blocks/dense.py": "def build():\n    import late\n",
            "blocks/activations.py": "import mine\n",
            "blocks/deep/norm.py": "Norm = 1\n",
            "late.py": "",
            "other.py": "",
        },
    )
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code_digests._top.cache_clear()
    forget()
    return root


def forget() -> None:
    """Read files anew, as another process does."""
    code_digests._run_from.cache_clear()
    code_digests._templates.cache_clear()
    code_digests._run_by.cache_clear()
    code_digests._code_of_one.cache_clear()
    code_digests._sha256.cache_clear()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def names(module: str) -> list[str]:
    return sorted(code_of(module).files)


def test_it_follows_imports_of_every_kind_and_leaves_libraries_out(project: Path) -> None:
    assert names("mine") == [
        "blocks",
        "blocks.activations",
        "blocks.conv",
        "blocks.deep.norm",
        "blocks.dense",
        "late",
        "mine",
    ]
    assert code_of("mine").libraries == {"numpy"}
    assert names("blocks.deep.norm") == ["blocks", "blocks.deep.norm"]
    assert "mine" not in sys.modules


def test_a_folder_on_the_path_counts_by_content_and_a_virtual_environment_does_not(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere", {"shared.py": "import late\nimport beside\n", "beside.py": ""})
    write(project, {".venv/lib/python3/site-packages/lib.py": "import late\n", "uses.py": "import lib\n"})
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(project / ".venv/lib/python3/site-packages")
    assert names("shared") == ["beside", "late", "shared"]
    assert names("uses") == ["uses"]
    assert code_of("uses").libraries == {"lib"}


@pytest.mark.parametrize("module", ["nowhere", "blocks.nowhere", "nowhere.blocks", "mine.part", ""])
def test_a_module_that_is_not_there_is_named(project: Path, module: str) -> None:
    with pytest.raises(ParamsError, match=f"No module '{module}' in "):
        code_of(module)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = 1\ndef f(:\n", "late.py, line 2, is not valid Python: invalid syntax"),
        (b"\x00", "late.py.* is not valid Python: .*null bytes"),
        (b"# coding: nosuch\n", "late.py.* is not valid Python"),
    ],
)
def test_a_file_that_is_no_python_is_named_with_its_line(project: Path, content: bytes, said: str) -> None:
    (project / "late.py").write_bytes(content)
    with pytest.raises(ParamsError, match=said):
        code_of("mine")


def test_a_digest_changes_with_any_file_and_with_nothing_else(project: Path) -> None:
    before = code_of("mine").digest()
    (project / "other.py").write_text("x = 1\n")
    forget()
    assert code_of("mine").digest() == before
    for name in ("mine.py", "blocks/__init__.py", "blocks/deep/norm.py", "late.py"):
        text = (project / name).read_text()
        (project / name).write_text(f"{text}# changed\n")
        forget()
        assert code_of("mine").digest() != before, name
        (project / name).write_text(text)
        forget()
        assert code_of("mine").digest() == before


def test_a_digest_changes_with_the_version_of_a_library(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of("mine").digest()
    monkeypatch.setattr(code_digests, "version", lambda name: "1.0" if name == "numpy" else version(name))
    assert code_of("mine").digest() != before


def test_templates_of_a_package_count_with_its_modules() -> None:
    files = code_of("octavo.reporting.documents.model_card").files
    assert files["octavo.reporting/model_card.md.j2"].read_text(encoding="utf-8")
    assert not any(name.endswith(".j2") for name in code_of("octavo.data.prepare").files)


def test_all_names_of_a_library_count_where_several_share_a_package() -> None:
    assert {"mlflow", "mlflow-skinny"} <= code_digests._distributions(["mlflow"])


def test_modules_that_are_imported_by_name_count_where_a_pattern_declares_them(project: Path) -> None:
    write(
        project,
        {
            "found.py": 'IMPORTED_BY_NAME = ("rooms.*.door", "plugins.*")\n',
            "rooms/__init__.py": "",
            "rooms/light.py": "",
            "rooms/kitchen/__init__.py": "",
            "rooms/kitchen/door.py": "import late\n",
            "plugins/__init__.py": "",
            "plugins/one.py": "import numpy\n",
        },
    )
    found = ["found", "late", "plugins", "plugins.one", "rooms", "rooms.kitchen", "rooms.kitchen.door"]
    assert names("found") == found
    assert code_of("found").libraries == {"numpy"}
    write(project, {"rooms/cellar/__init__.py": "", "rooms/cellar/door.py": ""})
    forget()
    assert names("found") == sorted([*found, "rooms.cellar", "rooms.cellar.door"])


def test_a_module_that_is_started_as_a_process_counts_where_its_name_is_declared(project: Path) -> None:
    write(project, {"starts.py": 'IMPORTED_BY_NAME = ("blocks.deep.norm",)\n'})
    assert names("starts") == ["blocks", "blocks.deep.norm", "starts"]


def test_a_recipe_of_tensorflows_converter_counts_its_process_and_tensorflow() -> None:
    counted = {
        name: code_of(f"octavo.quantization.recipes.litert.{name}_tensorflow")
        for name in ("fp32", "fp16", "int8_dynamic", "int8_static", "int8_qat")
    }
    for name, code in counted.items():
        assert "octavo.quantization.converter.process" in code.files, name
        assert "tensorflow" in code.libraries, name
    assert "octavo.quantization.converter.biases" not in counted["fp32"].files


def test_a_stage_that_runs_model_files_counts_every_runtime() -> None:
    """Runtimes are found by looking at the folders of `octavo.backends`."""
    files = code_of("octavo_stages.evaluate").files
    assert {"octavo.backends.onnxruntime.inspection", "octavo.backends.litert.inspection"} <= files.keys()
