"""Recorded sessions, read from their Parquet files and nothing else.

Times are minutes, IST, counted from the beginning of the calendar: those of different days can be compared.
"""

import json
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl

from option_baskets.domain.session import IST

DAY = 24 * 60


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
    """The bars of one contract or index, by the minute each starts at."""

    def __init__(self, rows: pl.DataFrame | None = None) -> None:
        self._rows = rows

    @cached_property
    def bars(self) -> dict[int, Bar]:
        """Made when they are first asked for: of most contracts they never are."""
        if self._rows is None:
            return {}
        columns = self._rows.select("minute", "open", "high", "low", "close").iter_rows()
        return {minute: Bar(*bar) for minute, *bar in columns}

    @cached_property
    def starts(self) -> list[int]:
        return sorted(self.bars)

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


NOTHING = Prices()


class Recording:
    """One underlying of one session of minute bars."""

    def __init__(self, path: Path) -> None:
        header = json.loads(pl.read_parquet_metadata(path)["option_baskets.session"])
        assert header["interval_seconds"] == 60 and header["kind"] == "bars"
        self.date = date.fromisoformat(header["date"])
        ((opens, closes),) = header["windows"]
        self.open, self.close = minute_of(datetime.fromisoformat(opens)), minute_of(datetime.fromisoformat(closes))
        groups = header["contracts"]
        self.underlying: str = groups[0]["underlying"]
        assert {group["underlying"] for group in groups} == {self.underlying}
        self.lot_size: dict[Instrument, int] = {}
        self.freeze: dict[date, int] = {}
        """Freeze quantities by expiry; without one an order is not sliced."""
        self.monthly: set[date] = set()
        for group in groups:
            expiry = date.fromisoformat(group["expiry"])
            if "freeze_quantity" in group:
                self.freeze[expiry] = group["freeze_quantity"]
            if group["series"] == "monthly":
                self.monthly.add(expiry)
            for type_ in ("CE", "PE"):
                for strike in group.get(type_, []):
                    self.lot_size[Instrument(expiry, type_, Decimal(strike))] = group["lot_size"]
            if group.get("future"):
                self.lot_size[Instrument(expiry, "FUT", None)] = group["lot_size"]
        self.spot = Prices()
        self.prices: dict[Instrument, Prices] = dict.fromkeys(self.lot_size, NOTHING)
        self._read(path)
        self.settlement = _settlement(path.parent / "settlements.csv", self.date, self.underlying)
        """What the index is worth to contracts that expire today, if it is known."""

    def _read(self, path: Path) -> None:
        rows = pl.read_parquet(path).filter(pl.col("underlying") == self.underlying, pl.col("close") > 0)
        local = pl.col("start").dt.convert_time_zone(IST.key)
        minute = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32)
        rows = rows.with_columns((minute + self.at("00:00")).alias("minute"))
        for (expiry, strike, type_), part in rows.partition_by("expiry", "strike", "type", as_dict=True).items():
            if type_ == "IDX":
                self.spot = Prices(part)
            else:
                self.prices[Instrument(expiry, type_, strike)] = Prices(part)

    def at(self, clock: str) -> int:
        """The minute of a time of this day."""
        return self.date.toordinal() * DAY + int(clock[:2]) * 60 + int(clock[3:])

    def of(self, instrument: Instrument) -> Prices:
        """Of a contract that need not be listed today."""
        return self.prices.get(instrument, NOTHING)

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


def _settlement(path: Path, day: date, underlying: str) -> Decimal | None:
    rows = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    prices = [row.split(",")[2] for row in rows if row.split(",")[:2] == [day.isoformat(), underlying]]
    return Decimal(prices[0]) if prices else None


@cache
def recording(path: Path) -> Recording:
    """Read once a process: one after another many cases look at the same day."""
    return Recording(path)


def minute_of(instant: datetime) -> int:
    local = instant.astimezone(IST)
    return local.date().toordinal() * DAY + local.hour * 60 + local.minute


def date_of(at: int) -> date:
    return date.fromordinal(at // DAY)


def clock_of(at: int) -> str:
    return f"{at % DAY // 60:02d}:{at % 60:02d}"


# ---------------------------------------------------------------- trading days


def is_trading_day(day: date) -> bool:
    """No holiday lies in the weeks these cases use."""
    return day.weekday() < 5


def trading_days_until(today: date, expiry: date) -> int:
    """After today, up to and including ``expiry``."""
    days = (today + timedelta(days=n) for n in range(1, (expiry - today).days + 1))
    return sum(1 for day in days if is_trading_day(day))


def trading_days_before(day: date, count: int) -> date:
    while count:
        day -= timedelta(days=1)
        count -= is_trading_day(day)
    return day


def next_trading_day(day: date) -> date:
    day += timedelta(days=1)
    while not is_trading_day(day):
        day += timedelta(days=1)
    return day
