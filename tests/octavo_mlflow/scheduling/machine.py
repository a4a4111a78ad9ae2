"""A machine inside this one, with a crontab, a cron daemon and a systemd of its own.

It is a set of Linux namespaces: what this machine runs, its crontabs and its users' units are neither seen nor touched.
"""

import os
import shutil
import subprocess
import sysconfig
import time
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

HIERARCHIES = [Path("/sys/fs/cgroup", name) for name in ("", "systemd", "unified")]
PATIENCE = 20
"""Seconds until something that should happen at once counts as not happening."""

MOUNTS = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p -m 700 /run/user/0
if [ -d /var/spool/cron/crontabs ]; then
  mount -t tmpfs -o mode=1730,gid=$(stat -c %g /var/spool/cron/crontabs) tmpfs /var/spool/cron/crontabs
  mount -t tmpfs tmpfs /etc/cron.d
  mount --bind /dev/null /etc/crontab
fi
"""
MANAGER = """
mkdir -p /run/systemd/system
for group in $GROUPS_OF_TEST; do echo 0 > $group/cgroup.procs; done
/lib/systemd/systemd --user &
"""


def wait_for(happened: Callable[[], bool]) -> bool:
    """Whether it happened while there was patience."""
    end = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return happened()


class Machine:
    """Namespaces, and the process that holds them open."""

    def __init__(self, home: Path, systemd: bool) -> None:
        if os.geteuid() != 0 or not shutil.which("unshare"):
            pytest.skip("only root can make namespaces")
        self.environment = {"HOME": str(home), "XDG_RUNTIME_DIR": "/run/user/0", "PATH": os.environ["PATH"]}
        self.groups = [at / f"octavo-test-{os.getpid()}" for at in HIERARCHIES if (at / "cgroup.procs").exists()]
        for group in self.groups if systemd else []:
            group.mkdir(exist_ok=True)
        script = f"{MOUNTS}{MANAGER if systemd else ''}\necho ready; exec sleep infinity"
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
        groups = " ".join(map(str, self.groups))
        self.holder = subprocess.Popen(
            command, env=self.environment | {"GROUPS_OF_TEST": groups}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.holder.stdout
        if not self.holder.stdout.readline():
            pytest.skip(f"no namespaces here: {self.holder.communicate()[1].decode()}")
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        self.inside = children.read_text().split()[0]

    def close(self) -> None:
        self.holder.kill()
        self.holder.communicate()
        for group in self.groups:
            for folder, _, _ in os.walk(group, topdown=False):
                wait_for(partial(removed, folder))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._enter(Path("/")), *command], env=self.environment)

    def run(self, *command: str, cwd: Path = Path("/"), **given: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, with these variables besides HOME, PATH and XDG_RUNTIME_DIR."""
        environment = self.environment | given
        return subprocess.run(
            [*self._enter(cwd), *command], env=environment, capture_output=True, text=True, check=False
        )

    def schedule(self, project: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        """Run `octavo schedule` in a project, with the project's environment."""
        main = "from octavo.project.cli import main; main()"
        return self.run(f"{project}/.venv/bin/python", "-c", main, "schedule", *arguments, cwd=project, **given)

    def _enter(self, folder: Path) -> list[str]:
        enter = ["nsenter", "--target", self.inside, "--mount", "--pid"]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(folder)]


RECORDER = """#!/bin/sh
{ pwd; command -v python; echo "$GREETING"; nice; for argument; do echo "$argument"; done; } > record.part
mv record.part record
[ ! -e linger ] || sleep 600
"""


def make_project(folder: Path) -> Path:
    """A project whose environment has this one's packages, and an `octavo` that writes down how it was started."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    venv.create(folder / ".venv", symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder / ".venv")})
    Path(packages, "packages.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    octavo = folder / ".venv/bin/octavo"
    octavo.write_text(RECORDER)
    octavo.chmod(0o755)
    return folder


def removed(folder: str) -> bool:
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
