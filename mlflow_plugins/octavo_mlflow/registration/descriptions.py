"""What MLflow's pages say of the registered model and of each version, in Markdown."""

from mlflow.entities import Run

from octavo.evaluation.scorecard import Lineage, Scorecard, Scorecards
from octavo.project import git_tags
from octavo.promotion.decision import Decision
from octavo.reporting import variants_table
from octavo.reporting.documents import statements
from octavo_mlflow.registration import shared_view
from octavo_mlflow.tracking import connection

MODE = "?workflowType=machine_learning"
"""Of MLflow's pages, which start in another."""
DIGITS = 12
"""Of a digest, which a person compares; the run's tags have all of it."""


def of_model(name: str, experiment: str) -> str:
    """What the registered model is, how versions come to be, and how one is put into service and taken out of it."""
    side_by_side = f"#{connection.page(experiment, shared_view.KEY)}"
    return f"""\
One image classifier in several forms, float and INT8, made and measured by Octavo. A version is one variant as it was
measured once; its tags have the figures and the verdict. [The runs side by side]({side_by_side}).

- **New versions** come with `dvc repro`; what did not change gets none.
- **Promote**: `octavo promote [VARIANT]` moves the alias `champion` to a version that the policy lets pass, and \
leaves `previous` on the one before.
- **Roll back**: `octavo rollback [VERSION]`.
- **Use**: `mlflow.pyfunc.load_model("models:/{name}@champion")`.

Move aliases by `octavo` alone: it writes down who, when and why, and `octavo audit` finds every other move.
"""


def of_version(name: str, card: Scorecard, scorecards: Scorecards, decision: Decision, run: Run) -> str:
    """The variant in one sentence, the way back to what it was made of, and the way on to who promoted it."""
    place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return f"""\
{card.variant}: {" ".join([statements.summary(card, scorecards), *variants_table.warnings(decision)])}

- **Measured** in [this run]({place}{MODE}); [pictures and the report]({place}/artifacts{MODE}).
- **Made** {_origin(card.lineage)} Of a version that was promoted the git tag `{git_tags.PREFIX}/{name}/…`, with the \
version's number, has the very files: `git checkout` it, then `dvc checkout`.
- **Promoted**: by whom, when and why say the tags `promote.by`, `promote.when` and `promote.why`, once it was; \
`octavo audit` has the history.
"""


def _origin(lineage: Lineage) -> str:
    lock = f"DVC lock `{lineage.dvc_lock[:DIGITS]}`" if lineage.dvc_lock else "no DVC lock"
    if lineage.git is None:
        return f"outside of git, with {lock}."
    commit, _, dirty = lineage.git.partition("-")
    changes = ", with changes that were not committed" if dirty else ""
    again = f"`git checkout {commit[:DIGITS]}`, then `dvc repro`, makes it again."
    return f"at commit `{commit[:DIGITS]}`{changes}, with {lock}: {again}"
