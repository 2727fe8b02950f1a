"""Days to play cases on, made once however many workers run the tests."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.cli import main

Days = Callable[[str], Path]
_SETTLEMENTS = """\
date,underlying,price,source
2022-06-09,NIFTY,16470.00,made up
2022-06-30,NIFTY,15788.30,made up
"""
"""The recorded days come without the prices at which their contracts settled; any will do to compare with."""


def make_days(kind: str, shared: Path | None, folder: Path) -> None:
    """Write the days of a kind in the canonical form; ``simulated`` needs no shared data."""
    arguments = {
        "simulated": ["simulate", "--from", "2026-07-13", "--to", "2026-07-15", "--seed", "5"],
        "nifty": ["import", "minute-close", "--underlying", "NIFTY", "--lot-size", "50"],
        "banknifty": ["import", "ohlcv-vendor", "--lot-size", "40"],
    }[kind]
    if kind != "simulated":
        assert shared is not None
        intraday = shared / "data" / "intraday"
        if kind == "nifty":
            arguments += ["--options", str(intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet")]
            arguments += ["--index", str(intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz")]
        else:
            arguments.append(str(intraday / "banknifty_1min_ohlcvoi_2017-04-03.csv.gz"))
    result = CliRunner().invoke(main, [*arguments, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    if kind == "nifty":
        (folder / "settlements.csv").write_text(_SETTLEMENTS, encoding="utf-8")


@pytest.fixture(scope="session")
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Days:
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(kind: str) -> Path:
        shared = None if kind == "simulated" else request.getfixturevalue("shared")
        folder = base / f"reference-{kind}-days"  # its own: other tests' days have no settlement prices
        with (base / f"reference-{kind}-days.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "whole").exists():
                make_days(kind, shared, folder)
                (folder / "whole").touch()
        return folder

    return made
