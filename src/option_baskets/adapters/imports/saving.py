"""Writing an import: its sessions, and the list of the rows it did not use."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from option_baskets.adapters.feeds.canonical import write
from option_baskets.adapters.feeds.settlements import add_settlements
from option_baskets.adapters.feeds.whole_file import whole_file
from option_baskets.adapters.imports.intake import STAGED, Day, Intake

REJECTED = "rejected.csv"
_COLUMNS = ("file", "row", "reason", "start", "underlying", "expiry", "strike", "type", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    date: date
    path: Path
    contracts: int
    bars: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    saved: tuple[Saved, ...]
    rejected: pl.DataFrame
    """Every row not used, by file and row: the columns of ``rejected.csv``."""

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Rejected rows by reason, the commonest first."""
        counts = self.rejected.group_by("reason").len().sort("len", "reason", descending=[True, False])
        return [(reason, count) for reason, count in counts.iter_rows()]


def save(
    intake: Intake, directory: Path, *, replace: bool = False, on_day: Callable[[Day], None] = lambda day: None
) -> Report:
    """Write every session whole, and ``rejected.csv`` beside them, also when a later session fails.

    Raises:
        Invalid: a lot size nobody knows; or, without ``replace``, another recording of a date is there.
        Unavailable: the directory cannot be written, or the disk is full.
    """
    saved: list[Saved] = []
    rejected: list[pl.DataFrame] = [pl.DataFrame(schema=STAGED)]
    try:
        for day in intake:
            rejected.append(day.rejected)
            if day.session is not None:
                session = day.session
                saved.append(
                    Saved(
                        date=session.date,
                        path=write(session, directory, replace=replace),
                        contracts=len(session.listings),
                        bars=session.bars.height,
                        rejected=day.rejected.height,
                    )
                )
            on_day(day)
        dates = {day.date for day in saved}
        prices = {key: price for key, price in intake.settlements.items() if key[0] in dates}
        add_settlements(directory, prices, replace=replace)
    finally:
        rows = pl.concat(rejected).select(_COLUMNS).sort("file", "row", maintain_order=True)
        if directory.is_dir():
            with whole_file(directory / REJECTED) as file:
                rows.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%S%:z")
    return Report(saved=tuple(saved), rejected=rows)
