"""`octavo webhook`: run a command for each new champion, on MLflow's web hooks and by regular checks for
missed ones.
"""

import os
import shutil
from urllib.parse import quote

import click
import uvicorn
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.project import paths
from octavo.project.errors import OctavoError
from octavo.project.files.file_lock import exclusive
from octavo.project.params.params import load_params
from octavo_mlflow.registry.standing import CHAMPION
from octavo_mlflow.tracking import connection
from octavo_mlflow.webhooks.follower import SECRET, Follower
from octavo_mlflow.webhooks.receiver import EVENT, receiver

PORT = 8765
STATE = paths.REPORTS / "webhook"
"""One folder per followed alias, for what outlives the receiver."""


@click.group()
def webhook() -> None:
    """Run a command for each new champion, on MLflow's web hooks."""


@webhook.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=PORT, show_default=True, help="Port to listen at.")
@click.option("--model", help="The registered model.  [default: registry.model in params.yaml]")
@click.option("--alias", default=CHAMPION, show_default=True, help="The alias to follow.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How often to check the alias without a delivery.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def listen(host: str, port: int, model: str | None, alias: str, every: float, command: tuple[str, ...]) -> None:
    """Wait for deliveries, and run COMMAND once for each new champion: octavo webhook listen -- ./deploy.sh

    The command gets OCTAVO_MODEL, OCTAVO_VERSION and OCTAVO_ALIAS in its environment, and the event as JSON on its
    standard input. It is repeated, with growing pauses, until it succeeds, always for the present champion. The version
    that it succeeded for is stored in reports/webhook, so a restart does not run it again.
    """
    secret = _secret()
    if shutil.which(command[0]) is None:
        raise OctavoError(f"There is no command {command[0]} here. Name an executable program after --.")
    model = model or load_params().registry.model
    folder = STATE / f"{quote(model, safe='')}.{quote(alias, safe='')}"
    with exclusive(folder / "lock", f"octavo webhook for {alias} of {model}"):
        _serve(host, port, secret, Follower(model, alias, command, every, folder))


@webhook.command()
@click.argument("url")
def register(url: str) -> None:
    """Let MLflow deliver to URL, where octavo webhook listen waits. Under basic-auth, an administrator must do this."""
    secret = _secret()
    with connection.connected() as client:
        try:
            webhook_id, done = _subscribe(client, url, secret)
            tried = client.test_webhook(webhook_id)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            why = str(error).partition(": ")[2] or str(error)
            raise OctavoError(f"MLflow does not deliver to {url}: {why.rstrip('.')}. See docs/team.md.") from None
    click.echo(f"MLflow delivers {EVENT} to {url}, web hook {webhook_id} ({done}).")
    reached = tried.success or f"{tried.error_message or tried.response_status}"
    answer = "was accepted" if reached is True else f"failed: {' '.join(str(reached).split())[:300]}"
    click.echo(f"octavo: a test delivery {answer}.", err=True)


def _serve(host: str, port: int, secret: str, follower: Follower) -> None:
    """Accept deliveries until a signal comes.

    Raises:
        SystemExit: the address is taken, or the follower failed.
    """

    def stop() -> None:
        server.should_exit = True

    app = receiver(secret, follower, stop)
    server = uvicorn.Server(
        uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
    )
    click.echo(f"Waiting for {follower.alias} of {follower.model} at http://{host}:{port}/", err=True)
    server.run()
    if server.lifespan.should_exit:
        raise SystemExit(1)


def _subscribe(client: MlflowClient, url: str, secret: str) -> tuple[str, str]:
    """Create the web hook, or update the one with this URL. Returns its id, and which of the two was done."""
    token = None
    while True:
        page = client.list_webhooks(page_token=token)
        for found in page:
            if found.url == url:
                client.update_webhook(found.webhook_id, events=[EVENT], secret=secret, status="ACTIVE")
                return str(found.webhook_id), "renewed"
        token = page.token
        if not token:
            break
    made = client.create_webhook("octavo-webhook", url, [EVENT], "Made by octavo webhook register.", secret)
    return str(made.webhook_id), "new"


def _secret() -> str:
    """The secret from the environment.

    Raises:
        OctavoError: it is not set.
    """
    secret = os.environ.get(SECRET)
    if not secret:
        raise OctavoError(f"{SECRET} is not set. MLflow and the receiver share it: make one by openssl rand -hex 32.")
    return secret
