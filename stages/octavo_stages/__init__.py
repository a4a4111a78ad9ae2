"""One module per DVC stage: read the params, call one function, print the result in one line.

Run a stage as `python -m octavo_stages.<name>`. Other libraries' output is then held back before the first import,
because TensorFlow writes to stderr during its import. See `octavo.project.story`. Modules of the user's repository can
be imported from its root and from `src`.
"""

import sys
from itertools import pairwise

from octavo.project import story
from octavo.project.git import roots

if any(flag == "-m" and name.startswith(f"{__name__}.") for flag, name in pairwise(sys.orig_argv)):
    story.quiet()
    sys.path += roots.of_code()
