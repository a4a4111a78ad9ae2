"""The view of the runs behind the printed link: which columns MLflow's UI shows, and by what they are sorted.

A tag of the experiment holds the view as MLflow itself saves one: JSON of `{"name", "createdAt", "state"}`, whose state
is JSON again. Pages that do not know saved views read the fields of the state from the outer object, so they are there
too. If a page reads neither, the link still leads to the experiment.
"""

import json

from mlflow import MlflowClient

from octavo_mlflow.registry import tags

KEY = "octavo"
"""Key of the view in the link. MLflow also lists the view by its name."""
TAG = f"mlflow.sharedViewState.{KEY}"
FIGURES = ("accuracy", "size_bytes", "size_ratio", "latency_us", "latency_ratio")
SORTED_BY = "latency_us"


def share(client: MlflowClient, experiment: str) -> str:
    """Store the view in the experiment with that id, and return its key. Nothing is written if it is there already."""
    value = _value()
    if client.get_experiment(experiment).tags.get(TAG) != value:
        client.set_experiment_tag(experiment, TAG, value)
    return KEY


def _value() -> str:
    columns = [*(f"metrics.`{name}`" for name in FIGURES), f"tags.`{tags.VERDICT}`"]
    state = {
        "orderByKey": f"metrics.`{SORTED_BY}`",
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
    }
    return json.dumps({"name": "Variants", "createdAt": 0, "state": json.dumps(state), **state})
