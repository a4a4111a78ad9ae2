"""Run a command for each new champion. The registry decides which version that is; deliveries only say when to check.

A lost, repeated or late delivery therefore changes nothing. The command runs if the alias points to another version
than the one that it last succeeded for.
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from octavo.project.errors import OctavoError
from octavo.project.files import atomic_write, json_file
from octavo_mlflow.tracking import connection
from octavo_mlflow.webhooks.delivery import FRESH

SECRET = "OCTAVO_WEBHOOK_SECRET"  # noqa: S105 - its name, not the secret
"""Environment variable with the secret that MLflow signs with. The command does not receive it."""
PAUSES = (1.0, 300.0)
"""Seconds before a failed command is repeated: the first and the longest pause."""
GRACE = 10.0
"""Seconds that a command has to end when the receiver is stopped."""
REMEMBERED = 10_000
"""Limit for remembered deliveries. More than this in ten minutes cannot come from MLflow."""


class Memory(BaseModel):
    """What outlives the receiver."""

    version: str | None = None
    """The version that the command last succeeded for."""
    deliveries: dict[str, float] = {}
    """Ids and times of arrival, in seconds since 1970."""


@dataclass
class Follower:
    """Follows one alias of one model."""

    model: str
    alias: str
    command: tuple[str, ...]
    every: float
    """Seconds between checks without a delivery."""
    folder: Path
    """Folder of its memory."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    memory: Memory = field(init=False)
    _failures: int = 0
    _said: str = ""

    def __post_init__(self) -> None:
        try:
            self.memory = json_file.read_record(self._path, Memory)
        except FileNotFoundError:
            self.memory = Memory()
        except json_file.Unreadable:
            raise OctavoError(
                f"{self._path} is not what octavo webhook wrote. Delete it: the command then runs once for the present "
                f"{self.alias}."
            ) from None

    def is_new(self, delivery: str, now: float) -> bool | None:
        """Whether the delivery is new; remembers it. None if there is no room to remember it.

        A delivery so old that its timestamp would be refused is forgotten.
        """
        recent = {name: came for name, came in self.memory.deliveries.items() if now - came <= 2 * FRESH}
        if delivery in recent:
            return False
        if len(recent) >= REMEMBERED:
            return None
        self._remember(deliveries=recent | {delivery: now})
        return True

    async def follow(self) -> None:
        """Check and run, again and again, until cancelled. A command in progress is then ended."""
        while True:
            self.wake.clear()
            pause = await self._step()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.wake.wait(), pause)

    async def _step(self) -> float:
        """Run the command if the alias moved, and return the seconds until the next check."""
        try:
            return await self._look()
        except (OctavoError, OSError) as error:
            return self._again(str(error))

    async def _look(self) -> float:
        version = await asyncio.to_thread(_version, self.model, self.alias)
        if version is None or version == self.memory.version:
            self._failures, self._said = 0, ""
            return self.every
        fault = await self._run(version)
        if fault:
            return self._again(f"{self.command[0]} for version {version} of {self.model}: {fault}")
        self._remember(version=version)
        self._say(f"done for version {version} of {self.model}")
        self._failures = 0
        return 0

    async def _run(self, version: str) -> str | None:
        """Run the command, and return why it failed, or None.

        It holds a lock while it lives. If it outlives a killed receiver, no second one runs beside it.
        """
        with (self.folder / "running").open("w", encoding="utf-8") as turn:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._say(f"running {self.command[0]} for version {version} of {self.model}")
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=asyncio.subprocess.PIPE,
                    env=self._environment(version),
                    pass_fds=(turn.fileno(),),
                    start_new_session=True,
                )
            except BlockingIOError:
                return "the previous command has not ended yet"
            except OSError as error:
                return f"it cannot be run: {error.strerror}"
            try:
                await process.communicate(self._event(version))
            finally:
                if process.returncode is None:
                    await asyncio.shield(_end(process))
            return f"exit code {process.returncode}" if process.returncode else None

    def _environment(self, version: str) -> dict[str, str]:
        told = {"OCTAVO_MODEL": self.model, "OCTAVO_VERSION": version, "OCTAVO_ALIAS": self.alias}
        return {name: value for name, value in os.environ.items() if name != SECRET} | told

    def _event(self, version: str) -> bytes:
        """The event as MLflow would deliver it now."""
        now = datetime.now(timezone.utc).isoformat()
        data = {"name": self.model, "alias": self.alias, "version": version}
        event = {"entity": "model_version_alias", "action": "created", "timestamp": now, "data": data}
        return json.dumps(event).encode()

    def _again(self, why: str) -> float:
        pause = min(PAUSES[0] * 2**self._failures, PAUSES[1])
        self._failures += 1
        if why != self._said:
            self._say(f"{why.rstrip('.')}. Trying again, with growing pauses.")
        self._said = why
        return pause

    def _say(self, what: str) -> None:
        print(f"octavo: {what}", file=sys.stderr, flush=True)

    def _remember(self, **fields: object) -> None:
        self.memory = self.memory.model_copy(update=fields)  # first: if the write fails, it is known until a restart
        atomic_write.write_text(self._path, self.memory.model_dump_json())

    @property
    def _path(self) -> Path:
        return self.folder / "memory.json"


def _version(model: str, alias: str) -> str | None:
    """The version that the alias points to, or None if there is no such alias."""
    with connection.connected():
        try:
            found = MlflowClient().get_registered_model(model).aliases.get(alias)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
    return None if found is None else str(found)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command and its children, by SIGTERM and then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
            return
