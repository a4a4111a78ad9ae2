"""LiteRT: runs and inspects `.tflite` files."""

from octavo.backends.backend import Format

USAGE = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path="{{ file }}")
(source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
images = np.zeros({{ example }}, np.{{ card.interface.input.dtype }})
interpreter.resize_tensor_input(source["index"], images.shape)
interpreter.allocate_tensors()
interpreter.set_tensor(source["index"], images)
interpreter.invoke()
{% if card.interface.output.scale is none %}
logits = interpreter.get_tensor(target["index"])
{% else %}
integers = interpreter.get_tensor(target["index"]).astype(np.float32)
logits = (integers - {{ card.interface.output.zero }}) * np.float32({{ "%.9g"|format(card.interface.output.scale) }})
{% endif %}
"""

FORMAT = Format(
    name="litert",
    title="LiteRT",
    suffix=".tflite",
    libraries=("ai-edge-litert", "numpy"),
    usage=USAGE,
)
