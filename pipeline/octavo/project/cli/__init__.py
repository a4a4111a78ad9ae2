"""The `octavo` command.

Subcommands are entry points of the group `octavo.commands`. Only the one that the user runs is imported, so a command
without MLflow does not wait for MLflow. A command parses its arguments and then calls an entry point of the group
`octavo.actions`, which imports the slow libraries. So wrong arguments are reported at once.
"""

import ast
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from octavo.project.cli import typed_text
from octavo.project.errors import boundary, known_are

INTERRUPTED = 130


class Commands(click.Group):
    """A group that finds its subcommands among the entry points and loads them when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(entry_points(group="octavo.commands").names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in entry_points(group="octavo.commands", name=cmd_name):
            command = entry.load()
            assert isinstance(command, click.Command), f"{entry.value} is not a click command"
            return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not ctx.resilient_parsing:
            ctx.fail(f"Unknown command '{args[0]}'.{known_are(args[0], known)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            entries = sorted(entry_points(group="octavo.commands"), key=lambda entry: entry.name)
            formatter.write_dl([(entry.name, summary(entry)) for entry in entries])


def summary(entry: EntryPoint) -> str:
    """First line of the command's docstring. The source is parsed, not imported."""
    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def act(name: str, *arguments: object) -> Any:
    """Load the entry point `name` of the group `octavo.actions`, call it with the arguments, and return its result."""
    (entry,) = entry_points(group="octavo.actions", name=name)
    return entry.load()(*arguments)


@click.command(cls=Commands)
@click.version_option(package_name="octavo")
def octavo() -> None:
    """From a float model to a promoted INT8 model."""


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: 0 done, 1 the user's mistake, 2 refused by policy, 3 a service is out of reach.
    """
    if sys.stdin is None:  # it is closed: a question then meets its end
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open until the process ends
    with boundary():
        for argument in sys.argv[1:]:
            typed_text.check(argument, "An argument")
        try:
            sys.exit(octavo.main(prog_name="octavo", standalone_mode=False))
        except click.ClickException as error:
            error.show()
            sys.exit(1)
        except click.Abort:
            sys.exit(INTERRUPTED)
