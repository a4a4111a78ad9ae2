"""Copies of versions, which MLflow's button makes with all tags, are told from what was promoted."""

import json
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from octavo_mlflow.registry import versions
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import Project

VARIANT = "litert_int8_static"

pytestmark = pytest.mark.slow


def test_versions_that_only_read_as_if_promoted_are_named(registered: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    client = registered.client()
    client.copy_model_version("models:/octavo/2", "octavo")
    client.copy_model_version("models:/octavo/2", "prod")
    client.copy_model_version("models:/octavo/1", "prod")
    client.set_model_version_tag("octavo", "1", "promote.by", "ada")
    within = "version 3 is a copy of version 2 of octavo, and was never champion, though it reads so"
    elsewhere = "version 1 of prod is a copy of version 2 of octavo, and was not promoted there"
    assert json.loads(octavo("status", "--json")[1])["copies"] == [within, elsewhere]
    code, stdout, stderr = octavo("audit")
    assert (code, f"Note: {elsewhere}." in stdout, within in stderr) == (2, True, True)
    assert "version 1 reads as if it had been champion, and by no record it was" in stderr
    assert octavo("audit", "--repair", "--yes", "--reason", "seen")[0] == 0
    assert octavo("audit")[0] == 0


def test_a_copy_is_held_to_what_its_original_was_judged_by(registered: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    registered.client().copy_model_version("models:/octavo/2", "prod")
    assert mlflow.pyfunc.load_model("models:/prod/1")
    (folder,) = Path("mlruns").rglob(versions.model_id(registered.client().get_model_version("octavo", "2")))
    (folder / "artifacts" / "code" / "numpy.py").write_text("")
    with pytest.raises(MlflowException, match="are not those that were judged, by record 1"):
        mlflow.pyfunc.load_model("models:/prod/1")


def test_a_guarded_alias_that_stands_elsewhere_is_named(project: Project, octavo: Octavo) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("registry:\n", "registry:\n  guarded_aliases: [production]\n"))
    project.register()
    assert octavo("promote", VARIANT)[0] == 0
    project.client().set_registered_model_alias("octavo", "production", "1")
    note = "the guarded alias production points at version 1, which never was champion"
    assert f"Note: {note}." in octavo("audit")[1]
    project.client().set_registered_model_alias("octavo", "production", "2")
    assert "Note" not in octavo("audit")[1]
    params.write_text(params.read_text().replace("[production]", "[champion]"))
    code, _, stderr = octavo("audit")
    assert (code, "other than champion, previous and anchor" in stderr) == (1, True)
