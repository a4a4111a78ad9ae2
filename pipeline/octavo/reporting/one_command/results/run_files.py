"""Programs beside a model file that run it without Octavo: `run.py` and `run.cpp`.

The template of a format, such as `onnx_run.py.j2`, says how its library is called, and `run.py.j2` all else.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from octavo.backends.onnxruntime import exact_sums
from octavo.data import input_encoding
from octavo.evaluation.scorecard import Scorecard
from octavo.onnx_graph import session_options
from octavo.project.files import atomic_write
from octavo.project.params.encoding import InputEncoding

PROGRAMS = ("run.py", "run.cpp")
UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
"""Bytes that a string of C++ has as an escape."""


def write(
    card: Scorecard, model: Path, encoding: InputEncoding, example: np.ndarray, classes: list[str], at_once: int
) -> None:
    """Write the programs beside `model`.

    Args:
        card: of the file.
        model: the file.
        encoding: of its input.
        example: one example as stored, without the axis N.
        classes: names of its outputs.
        at_once: how many examples `run.py` gives to the model in one call.
    """
    assert card.interface
    asked = dict(card.interface.session_options)
    as_written = asked.pop(session_options.AS_WRITTEN, None) is not None
    for program in PROGRAMS:
        text = (
            _templates()
            .get_template(f"{card.format}_{program}.j2")
            .render(
                file=model.name,
                source=card.interface.input.name,
                target=card.interface.output.name,
                options=asked,
                as_written=as_written,
                exact_sums=exact_sums.OPTION if card.proof.saturation else None,
                encoding=encoding,
                shape=example.shape,
                fed=input_encoding.encode(example[None], encoding).shape[1:],
                dtype=str(example.dtype),
                channels=example.shape[-1],
                classes=classes if classes != [str(place) for place in range(len(classes))] else None,
                outputs=len(classes),
                at_once=at_once,
                notes=card.notes,
            )
        )
        atomic_write.write_text(model.with_name(program), text.rstrip("\n") + "\n")


def of_c(text: str) -> str:
    r"""A string of C++.

    >>> print(of_c('say "ä"'))
    "say \"\303\244\""
    """
    return '"' + UNSAFE.sub(lambda found: f"\\{found[0][0]:03o}".encode(), text.encode()).decode() + '"'


@cache
def _templates() -> Environment:
    found = Environment(  # noqa: S701 - it writes programs; names go through `repr` and `of_c`
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"repr": repr, "of_c": of_c}
    return found
