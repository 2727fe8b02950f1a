"""Cold starts of the functions: importing a handler and making its clients, in a new process with only its layers.

The layers are those of ``out/lambda-local`` (this machine's wheels and bytecode, by ``python -m infra.packages --local
--out out/lambda-local``), the code is that of ``src``. The least of ``STARTS`` starts
counts: what is more is other work of the machine. ``python -m benchmarks.cold_start api`` shows what of a function's
imports takes the most.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.entry_points import API, ENTRY_POINTS, EntryPoint, Secrets

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

print(*asyncio.run(clients()), "numpy" in sys.modules)
"""


@dataclass(frozen=True, slots=True)
class Start:
    wall: float
    """Milliseconds, as ``cpu``."""
    cpu: float
    has_numpy: bool


def main() -> None:
    if not LAYERS.exists():
        raise FileNotFoundError(f"no {LAYERS}; python -m infra.packages --local --out {LAYERS} makes it")
    table = Table("function", "ms", "CPU ms", "budget", "", title="Cold starts: import and clients")
    for point in ENTRY_POINTS:
        starts = [start(point) for _ in range(STARTS)]
        least = min(starts, key=lambda each: each.cpu)
        budget = BUDGETS[point is API]
        table.add_row(
            point.name,
            f"{min(each.wall for each in starts):.0f}",
            f"{least.cpu:.0f}",
            str(budget),
            "kept" if least.cpu <= budget else "over",
        )
    Console().print(table)


def start(point: EntryPoint) -> Start:
    """One cold start."""
    wall, cpu, numpy = _run(point, "-c", _CHILD, f"option_baskets.lambdas.{point.module}", *services(point)).split()
    return Start(float(wall) * 1000, float(cpu) * 1000, numpy == "True")


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
