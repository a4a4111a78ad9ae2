"""Build, train and export a network of `networks` in `params.yaml`."""

from octavo.backends import network_notes
from octavo.project import story
from octavo.project.params.params import Params
from octavo.training import make


def build(name: str, params: Params) -> str:
    """Build, train and export the network called `name`. If no variant needs it, write a marker instead.

    Returns:
        The result as a clause.

    Raises:
        ParamsError: the network's builder cannot be used.
        ModelError: training diverges, or the trained network cannot be exported.
    """
    if reason := params.why_not_needed(name):
        network_notes.refuse_network(name, reason)
        return reason
    model, notes = make.built(name, params)
    for note in notes:
        story.say(note)
    return make.trained(model, name, params.networks[name], notes)
