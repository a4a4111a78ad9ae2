"""DVC stage `needed`: the variants in, a file a network out that says whether any variant needs it.

The stages that train depend on these files, so that another variant trains nothing anew.
"""

import json

from pipeline import files, layout
from pipeline.errors import boundary
from pipeline.needed import OPTIONAL, needed
from pipeline.params import load_params


@boundary()
def main() -> None:
    wanted = needed(load_params().variants.values())
    for network in OPTIONAL:
        files.write_text(layout.needed(network), json.dumps({"needed": network in wanted}) + "\n")


if __name__ == "__main__":
    main()
