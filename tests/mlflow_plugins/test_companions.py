"""What goes beside a model: its card tells how to call it, and the call works."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlflow_plugins import registered
from pipeline import cards, layout, proof
from pipeline.runtimes import open_model
from tests.mlflow_plugins.measured_project import MakeProject
from tests.mlflow_plugins.test_signing import accompany

SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("variant", ["onnx_fp32", "litert_int8_static"])
def test_the_cards_snippet_runs(variant: str, make_project: MakeProject) -> None:
    project = make_project("onnx_fp32", "litert_int8_static")
    for each in project.scorecards.scorecards:
        project.change(each.variant, interface=proof.interface(Path(each.model.path)))
    accompany(project)
    (version,) = project.client().search_model_versions(f"name = 'octavo' and tag.variant = '{variant}'")
    with registered.folder(project.client(), version) as folder:
        (snippet,) = SNIPPET.findall((folder / cards.MODEL_CARD).read_text())
        place = (folder / registered.place(registered.model_file(version))).parent
        code = f"{snippet}\nnp.save('logits.npy', logits)"
        subprocess.run([sys.executable, "-c", code], cwd=place, check=True, capture_output=True)
        got = np.load(place / "logits.npy")
    expected = open_model(layout.model(variant))(np.zeros((1, 4, 4), np.float32))
    np.testing.assert_array_equal(got, expected)


def test_texts_lie_beside_the_model_and_pictures_in_the_run(make_project: MakeProject) -> None:
    project = make_project("onnx_fp32")
    layout.REPORT.write_text("a page about all variants")
    client = accompany(project).client()
    (version,) = client.search_model_versions("name = 'octavo'")
    beside = {item.path for item in client.list_logged_model_artifacts(registered.model_id(version))}
    assert set(cards.NAMES) <= beside
    with registered.folder(client, version) as folder:
        assert not {path.suffix for path in folder.rglob("*")} & {".pkl", ".pickle", ".joblib"}
    in_run = {item.path for item in client.list_artifacts(str(version.run_id))}
    assert {"confusion.svg", "tradeoff.svg", "report.html"} <= in_run
    assert not {"confusion.svg", "tradeoff.svg", "report.html"} & beside
