"""Draw the figures of `octavo.reporting.figures` as SVG, in the report's page or as files of their own.

The macros of `drawing.svg.j2` draw them, and `drawing.css.j2` sets their colours.

Octavo draws them itself because matplotlib's SVG has fixed colours (it refuses `currentColor` and CSS variables), so
one file cannot follow light and dark, and because it writes no description beside the title.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from octavo.reporting import variants_table

VIEW = re.compile(r'viewBox="0 0 (\S+) (\S+)"')
MARGIN = 16
"""Pixels around a figure in a file of its own."""
READABLE: tuple[Callable[..., str], ...] = (
    variants_table.percent,
    variants_table.whole_percent,
    variants_table.points,
    variants_table.kilobytes,
    variants_table.microseconds,
    variants_table.ratio,
    variants_table.interval,
    variants_table.decibels,
)


@cache
def templates() -> Environment:
    """The environment of the HTML and SVG templates. All text is escaped, and filters format the figures."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {function.__name__: function for function in READABLE}
    return found


def alone(macro: str, *arguments: Any) -> str:
    """The output of a macro of `drawing.svg.j2`, as an SVG file without references to other files."""
    environment = templates()
    drawn = str(getattr(environment.get_template("drawing.svg.j2").module, macro)(*arguments)).strip()
    start, _, rest = drawn.partition(">")
    found = VIEW.search(start)
    assert found, f"{macro} draws no <svg> with a viewBox"
    width, height = (float(size) + 2 * MARGIN for size in found.groups())
    frame = f'viewBox="{-MARGIN} {-MARGIN} {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    style = environment.get_template("drawing.css.j2").render()
    return (
        f'{start.replace(found[0], frame)} xmlns="http://www.w3.org/2000/svg">\n<style>\n{style}</style>\n'
        f'<rect class="paper" x="{-MARGIN}" y="{-MARGIN}" width="{width:g}" height="{height:g}"/>{rest}\n'
    )
