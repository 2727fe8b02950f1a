"""Deploys both stacks, from the synthesized templates as they are, to an emulator of AWS that is started for it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from infra.local_deployment import LOCAL, OUT, Emulator, deploy
from option_baskets.adapters.aws.dynamo import Dynamo
from tests.aws.bad_line import BadLine
from tests.aws.deployed import ENVIRONMENT, Deployed
from tests.contract.engines import PATIENCE, free_port, missing, started

COMMITTING = ("schedule", "entries", "exits")
"""Functions whose commits go by the line; the others' would only make it busy."""
LAUNCHER = Path(__file__).with_name("launcher.py")


def absent() -> str:
    """Why the platform cannot be deployed here; empty if it can."""
    if why := missing():
        return why
    if os.environ.get("DYNAMODB_LOCAL_DIR"):
        return "DynamoDB Local is DynamoDB alone; unset DYNAMODB_LOCAL_DIR"
    if not (OUT / f"{ENVIRONMENT.trading_stack}.template.json").exists():
        return f"no templates in {OUT}; make synth makes them"
    if not (LOCAL / "code").exists():
        return f"no packages in {LOCAL}; make aws-packages makes them"
    return ""


@contextmanager
def emulator(folder: Path) -> Iterator[tuple[Emulator, str]]:
    """An empty AWS, and where its bus tells what it does."""
    port = free_port()
    with started(folder, LAUNCHER, BUS_PORT=str(port), SFN_WAIT_SCALE="0") as engine:
        yield Emulator(endpoint=engine.endpoint, region=ENVIRONMENT.region), f"http://127.0.0.1:{port}"


@asynccontextmanager
async def deployed(folder: Path) -> AsyncIterator[Deployed]:
    """Deploy, and take it down with everything in it."""
    with emulator(folder) as (emulated, bus_address):
        line = BadLine(beyond=emulated.endpoint)
        async with line.strung(), _stacks(folder, emulated, line, bus_address) as platform:
            yield platform


@asynccontextmanager
async def _stacks(folder: Path, emulated: Emulator, line: BadLine, bus_address: str) -> AsyncIterator[Deployed]:
    outputs = await asyncio.to_thread(
        deploy,
        emulated,
        ENVIRONMENT,
        packages=_packages(folder),
        variables={
            "OPTION_BASKETS_TIME": "led",
            "OPTION_BASKETS_MARKET": "stored",
            "PYTHONPATH": os.pathsep.join(str(LOCAL / layer / "python") for layer in ("events", "api")),
            "AWS_ENDPOINT_URL_SQS": line.address,
        },
    )
    dynamo = await Dynamo.open(region=emulated.region, endpoint=emulated.endpoint, patience=PATIENCE)
    try:
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as http:
            platform = Deployed(
                emulator=emulated, bus_address=bus_address, outputs=outputs, dynamo=dynamo, http=http, line=line
            )
            await platform.silence_schedules()
            await platform.point_to_sockets()
            for function in COMMITTING:
                await platform.set_variables(function, AWS_ENDPOINT_URL_DYNAMODB=line.address)
            yield platform
    finally:
        await dynamo.close()


def _packages(folder: Path) -> Path:
    """The packaged code, and layers that are empty: the emulator would unpack 110 MB for each process it starts.

    The same layers are found where they were made, by ``PYTHONPATH``.
    """
    place = folder / "packages"
    shutil.copytree(LOCAL / "code", place / "code")
    for layer in ("events", "api"):
        (place / layer).mkdir()
        (place / layer / "NOTE").write_text("in PYTHONPATH\n", encoding="utf-8")
    return place
