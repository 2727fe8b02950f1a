"""``ohlcv-vendor``: a vendor's one-minute bars of a whole chain, one CSV a day.

Columns ``Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest``. ``Date`` is DD/MM/YYYY and ``Time`` the last
second of the minute (``9:15:59`` is the bar of 09:15). Options are ``BANKNIFTY06APR1721500CE.NFO``. Futures are the
continuous ``BANKNIFTY-I``, ``-II``, ``-III``: the nearest three monthly contracts. There is no index. A bar exists only
where there was a trade; volume and open interest are in units.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from option_baskets.adapters.imports.intake import MOMENT, Intake, Options, Source, stage
from option_baskets.adapters.imports.table import read_table
from option_baskets.domain.session import IST

SOURCE = Source(name="ohlcv-vendor")

_COLUMNS = ("Ticker", "Date", "Time", "Open", "High", "Low", "Close", "Volume", "Open Interest")
_OPTION = r"^(?<name>[A-Z]+)(?<expiry>\d{2}[A-Z]{3}\d{2})(?<strike>\d+(?:\.\d+)?)(?<type>CE|PE)\.NFO$"
_FUTURE = r"^(?<name>[A-Z]+)-(?<position>I{1,3})\.NFO$"
_POSITIONS = ("I", "II", "III")
_THURSDAY = 3

Futures = Mapping[tuple[str, date, str], date]
"""(underlying, day, position) → expiry."""


def ohlcv_vendor(files: Iterable[Path], options: Options, *, future_expiries: Sequence[date] = ()) -> Intake:
    """The sessions of the files. ``future_expiries`` are those of -I, -II, -III, where the derived ones are wrong."""
    table = pl.concat([_parsed(read_table(path, _COLUMNS)) for path in files])
    expiries = _future_expiries(table, future_expiries)
    keys = pl.DataFrame(
        [(*key, expiry) for key, expiry in expiries.items()],
        schema={"name": pl.String, "day": pl.Date, "position": pl.String, "future_expiry": pl.Date},
        orient="row",
    )
    table = table.join(keys, on=["name", "day", "position"], how="left", maintain_order="left")
    return Intake(
        stage(
            table,
            start=pl.col("start"),
            underlying=pl.col("name"),
            expiry=pl.coalesce("expiry", "future_expiry"),
            strike=pl.col("strike"),
            type=pl.col("type"),
            open=pl.col("Open"),
            high=pl.col("High"),
            low=pl.col("Low"),
            close=pl.col("Close"),
            volume=pl.col("Volume"),
            oi=pl.col("Open Interest"),
            reason=pl.when(pl.col("name").is_null()).then(pl.lit("ticker unreadable")),
        ),
        SOURCE,
        options,
    )


def _parsed(table: pl.DataFrame) -> pl.DataFrame:
    option, future = pl.col("Ticker").str.extract_groups(_OPTION), pl.col("Ticker").str.extract_groups(_FUTURE)
    clock = pl.col("Time").str.zfill(8)
    end = pl.concat_str("Date", clock, separator=" ").str.to_datetime("%d/%m/%Y %H:%M:%S", strict=False)
    last_second = end.dt.second() == 59
    return table.select(
        *(pl.col(name) for name in ("file", "row", "Open", "High", "Low", "Close", "Volume", "Open Interest")),
        pl.coalesce("reason", pl.when(~last_second).then(pl.lit("time is not the end of a minute"))).alias("reason"),
        pl.coalesce(option.struct.field("name"), future.struct.field("name")).alias("name"),
        option.struct.field("expiry").str.to_date("%d%b%y", strict=False).alias("expiry"),
        option.struct.field("strike").alias("strike"),
        pl.coalesce(
            option.struct.field("type"), pl.when(future.struct.field("name").is_not_null()).then(pl.lit("FUT"))
        ).alias("type"),
        future.struct.field("position").alias("position"),
        end.dt.truncate("1m").dt.replace_time_zone(IST.key).cast(MOMENT).alias("start"),
        end.dt.date().alias("day"),
    )


def _future_expiries(table: pl.DataFrame, given: Sequence[date]) -> Futures:
    found: dict[tuple[str, date, str], date] = {}
    futures = table.filter(pl.col("position").is_not_null() & pl.col("day").is_not_null())
    for name, day in futures.select("name", "day").unique().sort("name", "day").iter_rows():
        listed = table.filter((pl.col("name") == name) & (pl.col("day") == day))["expiry"].drop_nulls().unique()
        expiries = given or _nearest_monthlies(day, listed.to_list())
        found |= {(name, day, position): expiry for position, expiry in zip(_POSITIONS, expiries, strict=False)}
    return found


def _nearest_monthlies(day: date, listed: Sequence[date]) -> list[date]:
    """The next three monthly expiries: those of the file's own options where it has them, otherwise the last of the
    month that falls on their weekday (Thursday if the file has no monthly options)."""
    monthlies = {(each.year, each.month): each for each in sorted(listed) if _last_of_month(each) and each >= day}
    weekday = next(iter(monthlies.values())).weekday() if monthlies else _THURSDAY
    found: list[date] = []
    year, month = day.year, day.month
    while len(found) < len(_POSITIONS):
        expiry = monthlies.get((year, month)) or _last_weekday(year, month, weekday)
        if expiry >= day:
            found.append(expiry)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


def _last_of_month(expiry: date) -> bool:
    return (expiry + timedelta(days=7)).month != expiry.month


def _last_weekday(year: int, month: int, weekday: int) -> date:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)
