"""How MLflow's pages show the runs to whoever opens the printed link: which columns, sorted by what.

A tag of the experiment holds the view as MLflow itself saves one: JSON of `{"name", "createdAt", "state"}`, whose state
is again JSON. Pages that do not know saved views read the fields of the state right there, so they stand beside it;
and where they read neither, the link still leads to the experiment.
"""

import json

from mlflow import MlflowClient

from octavo_mlflow.registry import tags

KEY = "octavo"
"""Of the view, in the link; MLflow lists the view by its name, too."""
TAG = f"mlflow.sharedViewState.{KEY}"
FIGURES = ("accuracy", "size_bytes", "size_ratio", "latency_us", "latency_ratio")
SORTED_BY = "latency_us"


def share(client: MlflowClient, experiment: str) -> str:
    """Let the experiment of that id have the view, and return its key; nothing is written where it is there."""
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
