"""One module per DVC stage: read params, call one function, write outs. Run as `python -m octavo_stages.<name>`.

TensorFlow's log is set to fatal errors: on every machine without a GPU it else reports the lack of one as an error.
What goes wrong comes as a Python exception all the same.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
