"""Cold starts of the functions: importing a handler and making its clients, in a new process with only its layers.

The layers are those of ``out/lambda-local`` (this machine's wheels and bytecode, by ``python -m infra.packages --local
--out out/lambda-local``), the code is that of ``src``. The least of ``STARTS`` starts
counts: what is more is other work of the machine. ``python -m benchmarks.cold_start api`` shows what of a function's
imports takes the most.

Beside them stand the libraries alone: aiobotocore with one client, and FastAPI, Mangum, PyJWT and that.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.entry_points import API, ENTRY_POINTS, TIMER, EntryPoint, Secrets

ROOT = Path(__file__).parents[1]
LAYERS = Path(os.environ.get("OPTION_BASKETS_LAYERS", ROOT / "out" / "lambda-local"))
STARTS = 3
BUDGETS = {False: 450, True: 900}
"""Milliseconds: of the API, and of what handles events."""
_SERVICES = {"timer": ("events",), "watchdog": ("stepfunctions",), "live": ("apigatewaymanagementapi",)}
_SERVICES["socket"] = _SERVICES["live"]

_CHILD = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
import importlib
importlib.import_module(sys.argv[1])
import asyncio, datetime
from option_baskets.adapters.aws.dynamo import session
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.aws.table import DynamoTable

async def clients():
    within = session()
    opened = [await DynamoTable.open(now=datetime.datetime.now, within=within)]
    opened += [await Service.open(name, within=within) for name in sys.argv[2:]]
    spent = time.perf_counter() - wall, time.process_time() - cpu
    for each in opened:
        await each.close()
    return spent

print(*asyncio.run(clients()))
"""

_BARE = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
import asyncio, importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
from aiobotocore.session import get_session

async def clients():
    async with get_session().create_client("dynamodb"):
        return time.perf_counter() - wall, time.process_time() - cpu

print(*asyncio.run(clients()))
"""
_LIBRARIES = {False: (), True: ("fastapi", "mangum", "jwt")}


@dataclass(frozen=True, slots=True)
class Start:
    wall: float
    """Milliseconds, as ``cpu``."""
    cpu: float


def main() -> None:
    if not LAYERS.exists():
        raise FileNotFoundError(f"no {LAYERS}; python -m infra.packages --local --out {LAYERS} makes it")
    table = Table("function", "ms", "CPU ms", "budget", "", title="Cold starts: import and clients")
    for point in (TIMER, API):
        is_api = point is API
        _row(table, "libraries of the API" if is_api else "aiobotocore", [bare(point) for _ in range(STARTS)])
    for point in ENTRY_POINTS:
        _row(table, point.name, [start(point) for _ in range(STARTS)], BUDGETS[point is API])
    Console().print(table)


def _row(table: Table, name: str, starts: Sequence[Start], budget: int | None = None) -> None:
    wall, cpu = min(each.wall for each in starts), min(each.cpu for each in starts)
    kept = "" if budget is None else "kept" if cpu <= budget else "over"
    table.add_row(name, f"{wall:.0f}", f"{cpu:.0f}", "" if budget is None else str(budget), kept)


def start(point: EntryPoint) -> Start:
    """One cold start."""
    return _start(_run(point, "-c", _CHILD, f"option_baskets.lambdas.{point.module}", *services(point)))


def bare(point: EntryPoint) -> Start:
    """One start of what the function could not do without, and nothing of ours."""
    return _start(_run(point, "-c", _BARE, *_LIBRARIES[point is API]))


def _start(said: str) -> Start:
    wall, cpu = said.split()
    return Start(float(wall) * 1000, float(cpu) * 1000)


def services(point: EntryPoint) -> tuple[str, ...]:
    """What it has clients of, besides the tables."""
    return (
        *_SERVICES.get(point.name, ()),
        *(("sqs",) if point.sends else ()),
        *(("kms",) if point is API and point.secrets is not Secrets.NONE else ()),
    )


def dearest(name: str, shown: int = 25) -> None:
    """Print the imports of a function that take the most, with what they import."""
    point = next(each for each in ENTRY_POINTS if each.name == name)
    said = _run(point, "-X", "importtime", "-c", f"import option_baskets.lambdas.{point.module}", errors=True)
    rows = [line.split("|") for line in said.splitlines() if line.count("|") == 2]
    for own, together, module in sorted(rows[1:], key=lambda row: -int(row[1]))[:shown]:
        print(f"{int(together) / 1000:9.1f} ms {int(own.rpartition(':')[2]) / 1000:8.1f} own {module.rstrip()}")


def _run(point: EntryPoint, *arguments: str, errors: bool = False) -> str:
    layers = [LAYERS / package / "python" for package in point.package.layers]
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", *layers))),
        "AWS_REGION": "ap-south-1",
        "AWS_DEFAULT_REGION": "ap-south-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "POWERTOOLS_SERVICE_NAME": "options-dev",
        "PATH": os.environ["PATH"],
    }
    interpreter = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run([interpreter, "-S", *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{point.name} does not start: {done.stderr[-2000:]}")
    return done.stderr if errors else done.stdout


if __name__ == "__main__":
    dearest(sys.argv[1]) if len(sys.argv) > 1 else main()
