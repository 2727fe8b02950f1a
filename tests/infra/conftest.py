"""Templates as fixtures, one test an environment; and emulators of AWS, started once a process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local_deployment import Emulator
from tests.contract.engines import REGION, missing, started
from tests.infra.templates import auth, trading

__all__ = ["auth", "emulator", "strict", "trading"]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One that lets everybody do everything."""
    with _emulator(tmp_path_factory.mktemp("emulator")) as made:
        yield made


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One that enforces rights; tests are its root. Queues that demand TLS refuse everybody: it speaks HTTP."""
    with _emulator(tmp_path_factory.mktemp("strict"), AUTH="true") as made:
        yield made


@contextmanager
def _emulator(folder: Path, **variables: str) -> Iterator[Emulator]:
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
            patch.setenv(name, value)
        # What it runs inherits its environment: functions of one emulator must not talk to another.
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        with started(folder, None, **variables) as engine:
            if engine.name != "ministack":
                pytest.skip("DynamoDB Local is DynamoDB alone")
            patch.setenv("AWS_ENDPOINT_URL", engine.endpoint)
            yield Emulator(endpoint=engine.endpoint, region=REGION)
