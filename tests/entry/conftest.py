"""Recorded days that several commands are tested on, made once."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.cli import main


def made(*arguments: object) -> None:
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def muhurat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated session of one hour, 2025-10-21: several expiries, a future, open interest."""
    folder = tmp_path_factory.mktemp("muhurat")
    made("simulate", "--from", "2025-10-21", "--out", folder, "--seed", 7, "--volatility", 14)
    return folder


@pytest.fixture(scope="session")
def june_10(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded NIFTY minutes of 2022-06-10: one expiry, closes only, no open interest."""
    folder, intraday = tmp_path_factory.mktemp("june"), shared / "data" / "intraday"
    options = intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet"
    index = intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz"
    which = ("--underlying", "NIFTY", "--lot-size", 50, "--date", "2022-06-10", "--out", folder)
    made("import", "minute-close", "--options", options, "--index", index, *which)
    return folder
