"""The platform, deployed once for all tests of a process."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from tests.aws.deployed import Deployed
from tests.aws.deployment import absent, deployed

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The deployed platform, and the event loop on which it is played upon. Its time goes on and never back."""

    platform: Deployed
    runner: asyncio.Runner

    def play(self, part: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(part)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Skips where something is missing that is made first; in CI that is a failure.

    ``make aws-test`` makes it, and asks for the deployment: it takes both cores of a machine for a minute.
    """
    if os.environ.get("OPTION_BASKETS_DEPLOYED") != "1":
        pytest.skip("make aws-test deploys the platform and plays on it")
    if why := absent():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        stack = AsyncExitStack()
        platform = runner.run(stack.enter_async_context(deployed(tmp_path_factory.mktemp("aws"))))
        try:
            yield Stage(platform=platform, runner=runner)
        finally:
            runner.run(stack.aclose())
