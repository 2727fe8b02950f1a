"""Fixtures every test may use."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.contract.engines"]
ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("OPTION_BASKETS_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real market data and facts; it is not part of the project."""
    if not (SHARED / "data").is_dir():
        message = f"no market data at {SHARED}; set OPTION_BASKETS_SHARED to the folder that has data/ and market/"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture
def burial() -> Iterator[None]:
    """The coroutines that a kill leaves unawaited are collected by the test that killed, not amid some later one."""
    yield
    gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted (``record_property("tally", text)``), whichever worker ran them."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "tally":
                terminalreporter.write_line(str(text))
