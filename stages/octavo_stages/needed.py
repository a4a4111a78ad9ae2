"""DVC stage `needed`: the variants in, a file a network out that says whether any variant needs it.

The stages that train depend on these files, so that another variant trains nothing anew.
"""

import json

from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.files import atomic_write
from octavo.project.needed import OPTIONAL, needed
from octavo.project.params import load_params


@boundary()
def main() -> None:
    wanted = needed(load_params().variants.values())
    for network in OPTIONAL:
        atomic_write.write_text(paths.needed(network), json.dumps({"needed": network in wanted}) + "\n")


if __name__ == "__main__":
    main()
