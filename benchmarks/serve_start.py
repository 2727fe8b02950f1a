"""How soon ``baskets serve`` does its work: from the start of the process to 200 of /ready, in a new data folder.

Beside it the least a process like it takes: FastAPI and uvicorn with one route that answers the same bytes. Each is
started once to compile what it imports, and then measured.
"""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

TIMES = 5
GOAL = 2.0
_PATIENCE = 120.0

BARE = """
import sys
import uvicorn
from fastapi import FastAPI

app = FastAPI()

@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


class Start(NamedTuple):
    seconds: float
    cpu: float
    """Seconds of CPU of the process until it was ready."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = measured(folder, _ours)
        bare = measured(folder, lambda port, _: [sys.executable, "-c", BARE, str(port)])
    table = Table(title=f"from the start to /ready, {TIMES} times, goal {GOAL:g} s")
    for column in ("", "median", "best", "CPU, median"):
        table.add_column(column, justify="right" if column else "left")
    for label, starts in (("baskets serve", ours), ("FastAPI and uvicorn, one route", bare)):
        seconds, cpu = [each.seconds for each in starts], median(each.cpu for each in starts)
        table.add_row(label, f"{median(seconds):.2f} s", f"{min(seconds):.2f} s", f"{cpu:.2f} s")
    console = Console()
    console.print(table)
    console.print(f"load {os.getloadavg()[0]:.1f}")


def measured(folder: Path, line: Callable[[int, Path], list[str]]) -> list[Start]:
    return [_start(folder, line, number) for number in range(TIMES + 1)][1:]


def _ours(port: int, data: Path) -> list[str]:
    program = "from option_baskets.cli import main; main()"
    return [sys.executable, "-c", program, "serve", "--port", str(port), "--data", str(data)]


def _start(folder: Path, line: Callable[[int, Path], list[str]], number: int) -> Start:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    port = _free_port()
    began = time.perf_counter()
    with subprocess.Popen(
        line(port, folder / f"data-{port}-{number}"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while not _is_ready(port):
                if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                    raise RuntimeError("the server did not become ready")
                time.sleep(0.005)
            return Start(time.perf_counter() - began, _cpu(process.pid))
        finally:
            process.terminate()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _cpu(pid: int) -> float:
    """Seconds of user and system time, of Linux's own account."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
