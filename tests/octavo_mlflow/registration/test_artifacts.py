"""What goes beside a model: its card tells how to call it, and the call works."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage
from octavo.project import paths
from octavo.reporting.documents import bundle
from octavo_mlflow.registry import versions
from tests.octavo_mlflow.measured_project import MakeProject
from tests.octavo_mlflow.promotion.test_signing import accompany

SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["onnx_fp32", "litert_int8_static"])
def test_the_cards_snippet_runs(variant: str, make_project: MakeProject) -> None:
    project = make_project("onnx_fp32", "litert_int8_static")
    for each in project.scorecards.scorecards:
        project.change(each.variant, interface=integer_coverage.interface(Path(each.model.path)))
    accompany(project)
    (version,) = project.client().search_model_versions(f"name = 'octavo' and tag.variant = '{variant}'")
    with versions.folder(project.client(), version) as folder:
        (snippet,) = SNIPPET.findall((folder / bundle.MODEL_CARD).read_text())
        place = (folder / versions.place(versions.model_file(version))).parent
        code = f"{snippet}\nnp.save('logits.npy', logits)"
        subprocess.run([sys.executable, "-c", code], cwd=place, check=True, capture_output=True)
        got = np.load(place / "logits.npy")
    expected = open_model(model_files.path_of(variant))(np.zeros((1, 4, 4), np.float32))
    np.testing.assert_array_equal(got, expected)


def test_texts_lie_beside_the_model_and_pictures_in_the_run(make_project: MakeProject) -> None:
    project = make_project("onnx_fp32")
    paths.REPORT.write_text("a page about all variants")
    client = accompany(project).client()
    (version,) = client.search_model_versions("name = 'octavo'")
    beside = {item.path for item in client.list_logged_model_artifacts(versions.model_id(version))}
    assert set(bundle.NAMES) <= beside
    with versions.folder(client, version) as folder:
        assert not {path.suffix for path in folder.rglob("*")} & {".pkl", ".pickle", ".joblib"}
    in_run = {item.path for item in client.list_artifacts(str(version.run_id))}
    assert {"confusion.svg", "tradeoff.svg", "report.html"} <= in_run
    assert not {"confusion.svg", "tradeoff.svg", "report.html"} & beside
