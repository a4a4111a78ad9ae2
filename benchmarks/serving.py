"""How fast single images are answered: `python -m benchmarks.serving` in the project's root (about three minutes).

Octavo's scoring process and `mlflow models serve` answer for the same ONNX file of the network small_cnn, on the same
machine, in turns. 1, 32 and 200 clients keep their connection and send one image of 28 × 28 bytes after another. The
clients share the machine's cores with the server, so that both rates are lower than without them. Prints a table,
writes `benchmarks/results/serving.json`, and ends with exit code 1 where Octavo has less than twice MLflow's rate, or
an answer is missing or wrong.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from octavo.backends import model_files
from octavo.backends.latency import describe_machine
from octavo.backends.registry import open_model
from octavo.training import export, networks
from octavo_mlflow.flavors import onnx
from octavo_mlflow.serving import process
from octavo_mlflow.serving.record import SERVER, Deployment, Settings, save
from tests import servers

CLIENTS = (1, 32, 200)
TURNS = 5
"""For each server and number of clients; the figures are those of all turns together."""
SECONDS, WARM_UP = 4.0, 1.0
"""Of a turn, and before it, not counted."""
PATIENCE = 30.0
"""Seconds for an answer; later ones are errors."""
FASTER = 2.0
"""Times MLflow's rate that Octavo has to have."""
OCTAVO, MLFLOW = "octavo", "mlflow models serve"
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 28, 28), np.uint8)
BODY = json.dumps({"inputs": IMAGE.tolist(), "params": {"dtype": "uint8"}}).encode()
RESULTS = Path(__file__).parent / "results" / "serving.json"

Row = dict[str, Any]


@dataclass
class Turn:
    """What came of one turn."""

    starts: float = 0.0
    ends: float = 0.0
    seconds: list[float] = field(default_factory=list)
    """Of each answer that ended within the turn."""
    errors: int = 0


@click.command()
@click.option("--turns", default=TURNS, show_default=True, help="Turns of each server; fewer write no record.")
def main(turns: int) -> None:
    """Ask Octavo's scoring process and MLflow's in turns."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        build(folder)
        expected = open_model(folder / "model.onnx")(IMAGE)
        with served_by_octavo(folder) as octavo, served_by_mlflow(folder) as mlflow:
            rows = [
                row
                for clients in CLIENTS
                for row in compared({OCTAVO: octavo, MLFLOW: mlflow}, clients, turns, expected)
            ]
    if turns >= TURNS:
        record = {"machine": describe_machine(), "seconds": SECONDS, "turns": turns, "rows": rows}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(rows)
    short = [row for row in rows if row["errors"] or row.get("times", FASTER) < FASTER]
    sys.exit(f"Short of what is promised: {short}" if short else 0)


def build(folder: Path) -> None:
    """Export the network with the weights that it starts from: they cost what trained ones do."""
    samples = np.random.default_rng(1).random((8, 28, 28), np.float32)
    export.export(networks.build("small_cnn", (28, 28), 10), samples, folder)


@contextmanager
def served_by_octavo(folder: Path) -> Iterator[int]:
    """The port of a scoring process of Octavo's."""
    path = folder / "model.onnx"
    record = Deployment(
        name="small_cnn",
        model_uri="models:/small_cnn/1",
        version="models:/small_cnn/1",
        variant="onnx_fp32",
        flavor="onnx",
        file=path.name,
        sha256=model_files.sha256(path),
        dtype="float32",
        shape=(-1, 28, 28),
        classes=[],
        settings=Settings(),
    )
    save(record, folder)
    process.start(folder)
    server = json.loads((folder / SERVER).read_bytes())
    try:
        yield server["port"]
    finally:
        subprocess.run(["kill", str(server["pid"])], check=True)


@contextmanager
def served_by_mlflow(folder: Path) -> Iterator[int]:
    """The port of MLflow's scoring server."""
    onnx.save_model(folder / "model.onnx", folder / "saved")
    command = ["models", "serve", "--env-manager", "local", "-m", str(folder / "saved")]
    with servers.mlflow(command, folder, "/ping") as address:
        yield int(address.rpartition(":")[2])


def compared(ports: dict[str, int], clients: int, turns: int, expected: np.ndarray) -> Iterator[Row]:
    """The figures of each server, asked in turns."""
    done: dict[str, list[Turn]] = {name: [] for name in ports}
    for _ in range(turns):
        for name, port in ports.items():
            done[name].append(asyncio.run(asked(port, clients, expected)))
    rows = {name: figures(name, clients, each) for name, each in done.items()}
    rows[OCTAVO]["times"] = round(rows[OCTAVO]["rate"] / rows[MLFLOW]["rate"], 2)
    yield from rows.values()


def figures(name: str, clients: int, turns: list[Turn]) -> Row:
    seconds = np.concatenate([turn.seconds for turn in turns])
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1000 if len(seconds) else (np.inf, np.inf)
    return {
        "server": name,
        "clients": clients,
        "rate": round(len(seconds) / (SECONDS * len(turns)), 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "errors": sum(turn.errors for turn in turns),
    }


async def asked(port: int, clients: int, expected: np.ndarray) -> Turn:
    """Let so many clients ask at once for one turn."""
    now = time.perf_counter()
    turn = Turn(now + WARM_UP, now + WARM_UP + SECONDS)
    await asyncio.gather(*(client(port, turn, expected) for _ in range(clients)))
    return turn


async def client(port: int, turn: Turn, expected: np.ndarray) -> None:
    """Ask until the turn ends, by one connection as long as it is kept."""
    connection: Connection | None = None
    while (start := time.perf_counter()) < turn.ends:
        if connection is None or connection.transport.is_closing():
            connection = await connected(port)
        status, answer = await connection.ask()
        end = time.perf_counter()
        if status != 200 or not np.allclose(json.loads(answer)["predictions"], expected, atol=1e-4):
            turn.errors += 1
            connection.transport.close()
        elif start >= turn.starts and end <= turn.ends:
            turn.seconds.append(end - start)
    if connection is not None:
        connection.transport.close()


async def connected(port: int) -> "Connection":
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


class Connection(asyncio.Protocol):
    """As little of HTTP as the clients need, so that they leave the cores to the server."""

    REQUEST = (
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
    )

    transport: asyncio.Transport
    answer: asyncio.Future[tuple[int, bytes]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def ask(self) -> tuple[int, bytes]:
        """Status and body of the answer; 0 where none comes in time."""
        self.got = b""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(self.REQUEST)
        try:
            return await asyncio.wait_for(self.answer, PATIENCE)
        except (TimeoutError, OSError):
            return 0, b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, ended, body = self.got.partition(b"\r\n\r\n")
        if ended and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self.answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "answer") and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("closed without an answer"))


def show(rows: list[Row]) -> None:
    table = Table("server", "clients", "requests/s", "p50 ms", "p99 ms", "errors", "times")
    for row in rows:
        table.add_row(
            *(f"{row.get(name, '')}" for name in ("server", "clients", "rate", "p50_ms", "p99_ms", "errors", "times"))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
