"""One module per DVC stage: read params, call one function, say what came of it. Run as
`python -m octavo_stages.<name>`.

As a program a stage is quiet from its first import on (see `octavo.project.story`): TensorFlow writes to stderr while
it is imported.
"""

import sys
from itertools import pairwise

from octavo.project import story

if any(flag == "-m" and name.startswith(f"{__name__}.") for flag, name in pairwise(sys.orig_argv)):
    story.quiet()
