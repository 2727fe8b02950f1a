"""A recorded session, read from its Parquet file and nothing else. Times are minutes since midnight, IST."""

import json
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from option_baskets.domain.session import IST


class Instrument(NamedTuple):
    expiry: date
    type: str
    strike: Decimal | None


class Bar(NamedTuple):
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal


@dataclass(frozen=True)
class Known:
    price: Decimal
    age: int
    """Minutes since the end of the bar it is the close of."""


class Prices:
    """The bars of one contract or index."""

    def __init__(self, bars: dict[int, Bar]) -> None:
        self.bars = bars
        self.starts = sorted(bars)

    def known(self, at: int) -> Known | None:
        """The last close before ``at``."""
        place = bisect_right(self.starts, at - 1)
        if place == 0:
            return None
        start = self.starts[place - 1]
        return Known(self.bars[start].close, at - start - 1)

    def traded(self, at: int) -> Decimal | None:
        """What a marketable order sent at ``at`` is filled at."""
        bar = self.bars.get(at)
        if bar is not None and bar.open is not None:
            return bar.open
        known = self.known(at)
        return known.price if known else None


class Recording:
    """One underlying of one session of minute bars."""

    def __init__(self, path: Path) -> None:
        header = json.loads(pl.read_parquet_metadata(path)["option_baskets.session"])
        assert header["interval_seconds"] == 60 and header["kind"] == "bars"
        self.date = date.fromisoformat(header["date"])
        groups = header["contracts"]
        self.underlying: str = groups[0]["underlying"]
        assert {group["underlying"] for group in groups} == {self.underlying}
        self.lot_size: dict[Instrument, int] = {}
        self.monthly: set[date] = set()
        for group in groups:
            expiry = date.fromisoformat(group["expiry"])
            if group["series"] == "monthly":
                self.monthly.add(expiry)
            for type_ in ("CE", "PE"):
                for strike in group.get(type_, []):
                    self.lot_size[Instrument(expiry, type_, Decimal(strike))] = group["lot_size"]
            if group.get("future"):
                self.lot_size[Instrument(expiry, "FUT", None)] = group["lot_size"]
        self.spot = Prices({})
        self.prices: dict[Instrument, Prices] = {instrument: Prices({}) for instrument in self.lot_size}
        self._read(path)

    def _read(self, path: Path) -> None:
        rows = pl.read_parquet(path).filter(pl.col("underlying") == self.underlying, pl.col("close") > 0)
        local = pl.col("start").dt.convert_time_zone(IST.key)
        minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32)
        rows = rows.with_columns(minute.alias("minute"))
        for (expiry, strike, type_), part in rows.partition_by("expiry", "strike", "type", as_dict=True).items():
            columns = part.select("minute", "open", "high", "low", "close").iter_rows()
            prices = Prices({minute: Bar(*bar) for minute, *bar in columns})
            if type_ == "IDX":
                self.spot = prices
            else:
                self.prices[Instrument(expiry, type_, strike)] = prices

    def expiries(self, series: str) -> list[date]:
        """Listed ones from today on."""
        listed = {instrument.expiry for instrument in self.lot_size if instrument.expiry >= self.date}
        return sorted(listed & self.monthly if series == "monthly" else listed)

    @cache  # noqa: B019
    def strikes(self, expiry: date, type_: str = "") -> list[Decimal]:
        """Listed strikes of a type; without one, of either."""
        return sorted(
            {
                instrument.strike
                for instrument in self.lot_size
                if instrument.strike is not None
                and instrument.expiry == expiry
                and instrument.type in (type_ or ("CE", "PE"))
            }
        )

    def trading_days_until(self, expiry: date) -> int:
        """Weekdays after today up to and including ``expiry``: no holiday lies in the weeks these cases use."""
        days = (self.date + timedelta(days=n) for n in range(1, (expiry - self.date).days + 1))
        return sum(1 for day in days if day.weekday() < 5)
