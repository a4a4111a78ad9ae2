"""The Markdown descriptions of the registered model and of each version in MLflow's UI."""

from mlflow.entities import Run

from octavo.evaluation.scorecard import Lineage, Scorecard, Scorecards
from octavo.project.git import tags
from octavo.promotion.decision import Decision
from octavo.reporting import variants_table
from octavo.reporting.documents import statements
from octavo_mlflow.registration import shared_view
from octavo_mlflow.tracking import connection

MODE = "?workflowType=machine_learning"
"""Of MLflow's pages, whose default mode is another."""
DIGITS = 12
"""Digits of a digest that are shown; the run's tags have all of them."""


def of_model(name: str, experiment: str) -> str:
    """Describe the registered model: what it is, where versions come from, how to promote and roll back."""
    side_by_side = f"#{connection.page(experiment, shared_view.KEY)}"
    return f"""\
One image classifier in several forms, float and INT8, made and measured by Octavo. A version is one variant as it was
measured once; its tags show the figures and the verdict. [Compare the runs]({side_by_side}).

- **New versions** come from `dvc repro`. A variant that did not change gets none.
- **Promote**: `octavo promote [VARIANT]` moves the alias `champion` to a version that the policy lets pass, and \
leaves `previous` on the one before.
- **Roll back**: `octavo rollback [VERSION]`.
- **Use**: `mlflow.pyfunc.load_model("models:/{name}@champion")`.

Move aliases only with `octavo`: it records who, when and why, and `octavo audit` finds every other move.
"""


def of_version(name: str, card: Scorecard, scorecards: Scorecards, decision: Decision, run: Run) -> str:
    """Describe a version: its summary, what it was made of, and where its promotion is recorded.

    Args:
        name: of the registered model.
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
        run: the variant's run.
    """
    place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return f"""\
{card.variant}: {" ".join([statements.summary(card, scorecards), *variants_table.warnings(decision)])}

- **Measured** in [this run]({place}{MODE}); [pictures and the report]({place}/artifacts{MODE}).
- **Made** {_origin(card.lineage)} If the version was promoted, the git tag `{tags.PREFIX}/{name}/…` with its \
number has exactly these files: `git checkout` it, then `dvc checkout`.
- **Promoted**: after a promotion, the tags `promote.by`, `promote.when` and `promote.why` say who, when and why; \
`octavo audit` shows the history.
"""


def _origin(lineage: Lineage) -> str:
    lock = f"DVC lock `{lineage.dvc_lock[:DIGITS]}`" if lineage.dvc_lock else "no DVC lock"
    if lineage.git is None:
        return f"outside of git, with {lock}."
    commit, _, dirty = lineage.git.partition("-")
    changes = ", with changes that were not committed" if dirty else ""
    again = f"`git checkout {commit[:DIGITS]}`, then `dvc repro`, makes it again."
    return f"at commit `{commit[:DIGITS]}`{changes}, with {lock}: {again}"
