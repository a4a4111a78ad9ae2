"""A network of `networks`: built, trained and exported as `params.yaml` asks."""

from octavo.project import story
from octavo.project.params.params import Params
from octavo.training import make


def build(name: str, params: Params) -> str:
    """Build, train and export the network called `name`; one that no variant needs leaves a marker instead.

    Returns:
        What came of it, as a clause.

    Raises:
        ParamsError: its builder cannot be used.
        ModelError: training diverges, or the trained network cannot be exported.
    """
    if reason := make.why_not_needed(name, params):
        make.refuse(name, reason)
        return reason
    model, notes = make.built(name, params)
    for note in notes:
        story.say(note)
    return make.trained(model, name, params.networks[name], notes)
