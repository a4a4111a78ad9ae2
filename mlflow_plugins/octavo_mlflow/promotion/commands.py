"""The commands of this room, as people type them. Arguments are checked here, before MLflow is imported.

The work of each is an entry point of the group `octavo.actions`, which `act` loads.
"""

from pathlib import Path

import click

from octavo.project import extras
from octavo.project.cli import act


@click.command()
@click.argument("variant", required=False)
@click.option("--force", is_flag=True, help="Move against the verdict. Needs --reason, and is recorded.")
@click.option("--reason", help="Why, in your words.")
@click.option("--anchor", "new_anchor", is_flag=True, help="Make it the anchor too, for later comparisons.")
@click.option("--expect", metavar="VERSION", help="Move only if that version is the champion now; 'none' for none.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(
    variant: str | None, force: bool, reason: str | None, new_anchor: bool, expect: str | None, as_json: bool
) -> None:
    """Move the alias champion to VARIANT, or to the best variant that passes. The old champion becomes previous."""
    if force != (reason is not None) or (force and variant is None) or (reason is not None and not reason.strip()):
        raise click.UsageError("To move against the verdict name all three: VARIANT --force --reason '…'.")
    extras.require("mlflow")
    if not force:
        act("require_passing", variant)
    act("promote", variant, force, reason, new_anchor, expect, as_json)


@click.command()
@click.argument("version", required=False)
@click.option("--yes", is_flag=True, help="Approve without asking.")
@click.option("--withdraw", is_flag=True, help="Withdraw the request instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def approve(version: str | None, yes: bool, withdraw: bool, as_json: bool) -> None:
    """Show the requested promotion and approve it. With VERSION, only if the request is for that version."""
    act("approve", version, yes, withdraw, as_json)


@click.command()
@click.argument("version", required=False)
@click.option("--reason", help="Why, in your words; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def rollback(version: str | None, reason: str | None, as_json: bool) -> None:
    """Return to the previous champion, or to VERSION."""
    act("rollback", version, reason, as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(as_json: bool) -> None:
    """Show the champion, the previous version, the anchor, and the last move."""
    act("status", as_json)


@click.command()
@click.argument("version", required=False)
@click.option("--key", envvar="OCTAVO_SIGNING_KEY", type=Path, help="Private key; OCTAVO_SIGNING_KEY if not given.")
def sign(version: str | None, key: Path | None) -> None:
    """Sign the champion, or VERSION: its model file, scorecard, model card and bill of materials.

    The password of an encrypted key is read from OCTAVO_SIGNING_PASSWORD.
    """
    act("sign", version, key)


@click.command()
@click.argument("version", required=False)
@click.option("--key", envvar="OCTAVO_VERIFYING_KEY", type=Path, help="Public key; OCTAVO_VERIFYING_KEY if not given.")
@click.option("--model", help="Name of the registered model, by default that of params.yaml.")
def verify(version: str | None, key: Path | None, model: str | None) -> None:
    """Verify the signature of the champion, or of VERSION. Needs only MLflow and the public key."""
    act("verify", version, key, model)
