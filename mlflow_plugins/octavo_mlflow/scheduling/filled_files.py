"""Fill in the files for schedulers. A value is `[[ value ]]`, because GitHub and Airflow use braces themselves."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: object) -> str:
    """The filled template, with a line break at its end."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        variable_start_string="[[",
        variable_end_string="]]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "repr": repr,
        "unit": unit_text,
        "word": unit_word,
        "argument": unit_argument,
        "pattern": unit_pattern,
    }
    return environment.get_template(template).render(**values)


def unit_text(text: object) -> str:
    """A value of a systemd unit as plain text: `%` would start a specifier (systemd.unit(5))."""
    return str(text).replace("%", "%%")


def unit_word(text: object) -> str:
    r"""A quoted word of a systemd unit: in quotes, `\` and `"` need a backslash (systemd.syntax(7))."""
    escaped = unit_text(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unit_argument(text: object) -> str:
    """A quoted argument of a systemd unit's command: `$` would start a variable (systemd.service(5))."""
    return unit_word(text).replace("$", "$$")


def unit_pattern(path: object) -> str:
    """A path in a systemd unit where a pattern is allowed, as in `EnvironmentFile=` (glob(7))."""
    return re.sub(r"[\\*?\[]", r"\\\g<0>", unit_text(path))
