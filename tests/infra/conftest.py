"""Templates as fixtures, one test an environment; and an emulator of AWS, started once a process."""

import os
from collections.abc import Iterator

import pytest

from infra.local_deployment import Emulator
from tests.contract.engines import REGION, missing, started
from tests.infra.templates import auth, trading

__all__ = ["auth", "emulator", "trading"]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    if why := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch, started(tmp_path_factory.mktemp("emulator")) as engine:
        if engine.name != "ministack":
            pytest.skip("DynamoDB Local is DynamoDB alone")
        for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", engine.endpoint)
        yield Emulator(endpoint=engine.endpoint, region=REGION)
