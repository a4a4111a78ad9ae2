"""Bring in a network of `brought` in `params.yaml`, by the module that its file asks for."""

import importlib

from octavo.backends import network_notes
from octavo.brought import pinned
from octavo.project.params.params import Params


def bring(name: str, params: Params) -> str:
    """Read, check and export the network called `name`. If no variant needs it, write a marker instead.

    Returns:
        The result as a clause.

    Raises:
        OctavoError: the network's file is not the pinned one, cannot be used, or does not fit the data.
    """
    if reason := params.why_not_needed(name):
        network_notes.refuse_network(name, reason)
        return reason
    given = params.brought[name]
    pinned.require(name, given)
    return str(importlib.import_module(given.module).bring(name, params))
