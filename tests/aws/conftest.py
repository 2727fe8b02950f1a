"""Whether AWS can be emulated here with the platform deployed in it."""

import os

import pytest

from tests.aws.deployed import absent


@pytest.fixture(scope="session")
def deployable() -> None:
    """Skips where something is missing that is made first; in CI that is a failure."""
    if why := absent():
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture(autouse=True, scope="session")
def credentials() -> object:
    """Of nobody: an emulator takes any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        yield
