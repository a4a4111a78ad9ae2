"""onnxruntime: runs and inspects `.onnx` files."""

from octavo.backends.backend import Format
from octavo.onnx_graph import file_io

USAGE = """\
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
{% for option, value in card.interface.session_options.items() %}
options.add_session_config_entry("{{ option }}", "{{ value }}")
{% endfor %}
{% if card.proof.saturation %}
# On an x86 CPU without VNNI, and only there: options.add_session_config_entry("{{ exact_sums }}", "1")
{% endif %}
session = onnxruntime.InferenceSession("{{ file }}", options, providers=["CPUExecutionProvider"])
images = np.zeros({{ example }}, np.{{ card.interface.input.dtype }})
logits = session.run(None, {"{{ card.interface.input.name }}": images})[0]
"""

FORMAT = Format(
    name="onnx",
    title="ONNX",
    suffix=".onnx",
    libraries=("onnxruntime", "numpy"),
    usage=USAGE,
    beside=file_io.named_beside,
)
