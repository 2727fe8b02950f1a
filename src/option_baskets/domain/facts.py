"""What is known of the market, as dated rows. `adapters/facts.py` loads them; nothing here reads a file.

A row holds from its ``effective_from`` (None: for as long as the table goes back) through its ``effective_to`` (None:
until a later row). Where several rows hold, the one that began last wins, then the one that was loaded last, so that
a later revision needs no edit of an earlier row. ``sources`` are ids explained in facts/README.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar


class Exchange(StrEnum):
    NSE = "NSE"
    BSE = "BSE"


class SessionKind(StrEnum):
    NORMAL = "normal"
    FULL_SPECIAL = "full"
    """A whole session on a weekend: the Budget, or a day made up for."""
    MUHURAT = "muhurat"
    DISASTER_RECOVERY = "disaster_recovery"


class Instrument(StrEnum):
    OPTION = "option"
    FUTURE = "future"


class Charge(StrEnum):
    EXCHANGE_TXN = "exchange_txn"
    IPFT = "ipft"
    SEBI_FEE = "sebi_fee"
    STT = "stt"
    STT_EXERCISE = "stt_exercise"
    """On the intrinsic value, paid by the holder of a long option that is exercised at expiry."""
    STAMP_DUTY = "stamp_duty"
    GST = "gst"
    """On brokerage, exchange_txn and sebi_fee."""


class ChargedSide(StrEnum):
    BUY = "buy"
    SELL = "sell"
    BOTH = "both"
    EXERCISE = "exercise"


class MarginPart(StrEnum):
    """What a margin estimate is made of; `facts/margins.csv` says of what each is a percentage."""

    EXPOSURE = "exposure"
    EXPIRY_DAY = "expiry_day"
    PRICE_SCAN = "price_scan"
    EXTREME_SCAN = "extreme_scan"
    EXTREME_SHARE = "extreme_share"
    CALENDAR_SPREAD = "calendar_spread"


class ListedSeries(StrEnum):
    """A monthly also counts as its week's weekly; ``long`` is quarterly and half-yearly."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    LONG = "long"


def clock_time(text: str) -> time:
    """A time of day from ``HH:MM``.

    Raises:
        ValueError: the text has another shape.
    """
    parsed = time.fromisoformat(text)
    if parsed.isoformat("minutes") != text:
        raise ValueError(f"{text!r} is not HH:MM")
    return parsed


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a day in exchange time, [start, end)."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"{self.start:%H:%M} is not before {self.end:%H:%M}")

    @classmethod
    def parse(cls, text: str) -> "Span":
        """From ``HH:MM-HH:MM``.

        Raises:
            ValueError: the text has another shape, or ends before it starts.
        """
        start, dash, end = text.strip().partition("-")
        if not dash:
            raise ValueError(f"{text!r} is not HH:MM-HH:MM")
        return cls(clock_time(start.strip()), clock_time(end.strip()))

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Where a row comes from and how sure it is (the words of ``status`` are in facts/README.md)."""

    status: str = ""
    sources: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Fact):
    effective_from: date | None = None
    effective_to: date | None = None

    def holds(self, on: date) -> bool:
        return (self.effective_from is None or self.effective_from <= on) and (
            self.effective_to is None or on <= self.effective_to
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours(Dated):
    """Continuous trading of index derivatives on an ordinary day."""

    hours: Span
    expiring_close: time | None = None
    """When index contracts stop on their own expiry day; None: with the others."""
    spot_frozen: Span | None = None
    """While the cash market is in its closing auction the index hardly moves."""
    final_settlement: str
    """Which index value an expiring contract settles at, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday(Fact):
    date: date
    name: str
    exchanges: tuple[Exchange, ...]
    withdrawn: bool = False
    """A later row may take a holiday back: the day is an ordinary one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialSession(Fact):
    date: date
    kind: SessionKind
    windows: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted(Fact):
    """Parts of a day's trading hours in which nothing was traded; in order."""

    date: date
    windows: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlying(Dated):
    underlying: str
    exchange: Exchange
    index_name: str
    strike_step: Decimal
    """Index points between strikes near the money of the front contracts."""
    tick: Decimal
    """Rupees per unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCount(Dated):
    """How many contracts of a series are listed at once. ``effective_to`` is the last expiry of the series."""

    underlying: str
    series: ListedSeries
    listed: int
    half_yearly: int = 0
    """Of a long series: half-yearly contracts after ``listed`` quarterly ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRule(Dated):
    """The weekday contracts expire on; dates are those of the scheduled expiry, before holidays move it."""

    underlying: str
    series: ListedSeries
    weekday: int
    """Monday is 0. Of a monthly series: the last such day of the month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryException(Fact):
    """A scheduled expiry that did not go where rule and holidays say."""

    underlying: str
    scheduled: date
    expiry: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRevision(Fact):
    """A listed contract whose expiry date was changed after the close of a day."""

    underlying: str
    old_expiry: date
    new_expiry: date
    effective_after_eod: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot(Dated):
    """Units per lot; dates are those of the contract's expiry."""

    underlying: str
    series: ListedSeries
    lot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LotConversion(Fact):
    """Long-dated contracts, converted while they are listed."""

    underlying: str
    old_lot: int
    new_lot: int
    effective_after_eod: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Dated):
    """The largest quantity of one order, in units."""

    underlying: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Dated):
    """A charge in percent of the order's value (premium turnover, or a future's contract value).

    ``percent`` None: there was a charge, at a rate that is not known.
    """

    charge: Charge
    exchanges: tuple[Exchange, ...]
    instruments: tuple[Instrument, ...]
    side: ChargedSide
    percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brokerage(Dated):
    """Per executed order: ``rupees``, or ``percent`` of its value where that is given and lower."""

    broker: str
    instrument: Instrument
    rupees: Decimal
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareOff(Dated):
    """When a broker begins to close what is held in its intraday product, on an ordinary day."""

    broker: str
    at: time


class Need(StrEnum):
    """Whether a broker's login needs a secret."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NO = "no"
    """Any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(Dated):
    """A secret by which an account at a broker is reached."""

    broker: str
    field: str
    needed: Need


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBand(Dated):
    """How far from the reference price a limit may lie: ``percent`` of it, and ``least`` rupees at the least."""

    exchanges: tuple[Exchange, ...]
    instruments: tuple[Instrument, ...]
    percent: Decimal
    least: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRate(Dated):
    part: MarginPart
    percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """Every table. Two Facts are equal only if they are the same object, so that results can be cached by it."""

    hours: tuple[Hours, ...]
    holidays: Mapping[tuple[Exchange, date], Holiday]
    special_sessions: Mapping[date, SpecialSession]
    halts: Mapping[date, Halted]
    underlyings: tuple[Underlying, ...]
    series: tuple[ListedCount, ...]
    expiry_rules: tuple[ExpiryRule, ...]
    expiry_exceptions: tuple[ExpiryException, ...]
    expiry_revisions: tuple[ExpiryRevision, ...]
    lots: tuple[Lot, ...]
    lot_conversions: tuple[LotConversion, ...]
    freeze_quantities: tuple[Freeze, ...]
    rates: tuple[Rate, ...]
    brokerages: tuple[Brokerage, ...]
    margins: tuple[MarginRate, ...]
    square_offs: tuple[SquareOff, ...]
    credentials: tuple[Credential, ...]
    price_bands: tuple[PriceBand, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every underlying, in the order of the file."""
        return tuple(dict.fromkeys(row.underlying for row in self.underlyings))

    @property
    def holiday_years(self) -> range:
        """The years whose holidays are known; sessions and expiries of other years are the rules' alone."""
        years = {day.year for _, day in self.holidays}
        return range(min(years), max(years) + 1)


_Row = TypeVar("_Row", bound=Dated)


def in_force(rows: Iterable[_Row], on: date) -> _Row | None:
    """The row that holds on a day: the one that began last, then the one loaded last; None where none holds."""
    best: _Row | None = None
    for row in rows:
        if row.holds(on) and (best is None or _start(row) >= _start(best)):
            best = row
    return best


def _start(row: Dated) -> date:
    return row.effective_from or date.min
