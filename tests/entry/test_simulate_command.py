"""``baskets simulate``: the same bytes for the same seed, holidays named, mistakes explained."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.feeds.canonical import read, sessions
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.cli import main

MUHURAT = "2025-10-21"
"""A session of one hour, which is quickly simulated."""


def baskets(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two sessions with a holiday between them, and what the command said."""
    out = tmp_path_factory.mktemp("simulated")
    result = baskets("--from", "2026-11-23", "--to", "2026-11-25", "--out", out, "--seed", 4)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_holidays_are_skipped_by_name(week: tuple[Path, str]) -> None:
    out, said = week
    assert "Tue 2026-11-24 skipped: " in said
    assert sessions(out) == (date(2026, 11, 23), date(2026, 11, 25))
    assert "2 sessions of NIFTY, 2026-11-23 to 2026-11-25, seed 4" in said


def test_the_same_seed_writes_the_same_bytes_whatever_else_was_written(tmp_path: Path) -> None:
    alone, after = tmp_path / "alone", tmp_path / "after"
    assert baskets("--from", "2024-03-02", "--out", alone, "--seed", 4).exit_code == 0
    assert baskets("--from", "2024-03-02", "--to", "2024-03-04", "--out", after, "--seed", 4).exit_code == 0
    assert (alone / "2024-03-02.parquet").read_bytes() == (after / "2024-03-02.parquet").read_bytes()


def test_another_recording_of_a_date_is_not_overwritten_unasked(tmp_path: Path) -> None:
    day = ("--from", MUHURAT, "--out", tmp_path)
    file = tmp_path / f"{MUHURAT}.parquet"
    assert baskets(*day, "--seed", 4).exit_code == 0
    written = file.read_bytes()
    refused = baskets(*day, "--seed", 5)
    assert refused.exit_code != 0
    assert "--replace" in refused.output
    assert file.read_bytes() == written
    assert baskets(*day, "--seed", 5, "--replace").exit_code == 0
    assert file.read_bytes() != written


def test_a_session_has_every_minute_of_every_contract_and_both_indices(week: tuple[Path, str]) -> None:
    session = read(week[0] / "2026-11-25.parquet")
    assert session.source == "simulated"
    rows = session.bars.group_by("underlying", "expiry", "strike", "type").len()
    assert rows["len"].unique().to_list() == [385]
    assert rows.height == len(session.listings) + 2
    assert set(session.bars.filter(pl.col("type") == "IDX")["underlying"]) == {"NIFTY", "INDIAVIX"}
    traded = session.bars.filter(pl.col("type") != "IDX")
    assert traded.select((pl.col("low") > 0).all()).item()
    assert traded.select(((pl.col("volume") % 65 == 0) & (pl.col("oi") % 65 == 0)).all()).item()


async def test_the_recorded_feed_reads_it(week: tuple[Path, str]) -> None:
    feed = RecordedFeed(week[0])
    closing = feed.market(date(2026, 11, 23)).recorded.session.close
    snapshot = await feed.snapshot(closing)
    assert snapshot.spot("NIFTY") is not None
    assert snapshot.expiries("NIFTY")[0] == date(2026, 11, 23)


def test_level_and_index_can_be_chosen(tmp_path: Path) -> None:
    chosen = ("--underlying", "sensex", "--spot", "90000", "--volatility", "20")
    assert baskets("--from", MUHURAT, "--out", tmp_path, *chosen).exit_code == 0
    index = read(tmp_path / f"{MUHURAT}.parquet").bars.filter(pl.col("underlying") == "SENSEX", pl.col("type") == "IDX")
    assert float(index["open"][0]) == 90_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--from", "2026-11-24"), "no trading day from 2026-11-24 to 2026-11-24"),
        (("--from", "2026-11-25", "--to", "2026-11-23"), "2026-11-23 is before --from 2026-11-25"),
        (("--from", "2026-11-25", "--underlying", "NIFTI"), "'NIFTI' is not an index we have facts of"),
        (("--from", "2026-11-25", "--spot", "high"), "'high' is not a level"),
        (("--from", "2026-11-25", "--spot", "BANKNIFTY=52000"), "add --underlying BANKNIFTY"),
        (
            ("--from", "2026-11-25", "--underlying", "NIFTY", "--underlying", "SENSEX", "--spot", "9000"),
            "say which index",
        ),
        (("--from", "2026-11-25", "--volatility", "0"), "a volatility of 0 % a year is out of range"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    result = baskets(*arguments, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert complaint in result.output
    assert not (tmp_path / "out").exists()
