"""The AWS of the tests: ministack, or for DynamoDB AWS's own DynamoDB Local if ``DYNAMODB_LOCAL_DIR`` names a copy.

It is started once by each test process that needs one, on a free port, and stopped when that process ends.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest

from option_baskets.adapters.aws.dynamo import Pause, jitter
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.aws.tables import create_tables

REGION = "ap-south-1"
MINISTACK = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "ministack"
PATIENCE = 60.0
"""Seconds to wait for an answer: the emulator shares the machine with the tests."""
_SECONDS_TO_START = 60.0


@dataclass(frozen=True, slots=True)
class Engine:
    name: str
    endpoint: str


def missing() -> str:
    """Why no engine can be started; empty if one can."""
    if os.environ.get("DYNAMODB_LOCAL_DIR") or MINISTACK.exists():
        return ""
    return "no DynamoDB for the tests; make setup installs ministack into .venv-ministack"


@contextmanager
def started(folder: Path, launcher: Path | None = None, **variables: str) -> Iterator[Engine]:
    """An empty engine, with variables of its own. Its log is written to ``folder``.

    Args:
        launcher: a program that starts ministack in the place of its own.
    """
    local = os.environ.get("DYNAMODB_LOCAL_DIR")
    port = free_port()
    if local:
        name, command, where = "DynamoDB Local", _dynamodb_local(port), Path(local)
        environment: Mapping[str, str] = os.environ
    else:
        name, where = "ministack", folder
        command = [str(MINISTACK.with_name("python")), str(launcher)] if launcher else [str(MINISTACK)]
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",  # it would listen on every address
            "LOG_LEVEL": "ERROR",
            "MINISTACK_REGION": REGION,
            "SFTP_ENABLED": "0",
            "TMPDIR": str(folder),
            **variables,
        }
    log = folder / "engine.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=where, env=dict(environment), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            _wait_for(port, process, log)
            yield Engine(name, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch, started(tmp_path_factory.mktemp("engine")) as engine:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
            patch.delenv(name, raising=False)
        yield engine


@pytest.fixture
def aws(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine as every client finds it that is given no endpoint: all of AWS that is here."""
    if engine.name != MINISTACK.name:
        pytest.skip(f"{engine.name} is DynamoDB alone; this needs other services of AWS")
    monkeypatch.setenv("AWS_ENDPOINT_URL", engine.endpoint)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, REGION)
    return engine


async def opened(engine: Engine, folder: Path, now: Callable[[], datetime], pause: Pause = jitter) -> DynamoTable:
    """The tables that belong to a folder; made when they are opened first."""
    note = folder / "prefix"
    is_new = not note.exists()
    if is_new:
        note.write_text(f"t{uuid4().hex}-")
    prefix = note.read_text()
    table = await DynamoTable.open(
        now=now, prefix=prefix, region=REGION, endpoint=engine.endpoint, patience=PATIENCE, pause=pause
    )
    try:
        if is_new:
            await create_tables(table.dynamo, prefix=prefix, guarded=False)
    except BaseException:
        await table.close()
        raise
    return table


def _dynamodb_local(port: int) -> list[str]:
    """As AWS documents it; it needs Java 17."""
    return [
        "java", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar",
        "-inMemory", "-sharedDb", "-port", str(port), "-disableTelemetry",
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"the engine did not start: {log.read_text(errors='replace')[-2000:]}")
