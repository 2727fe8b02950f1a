"""MarketData over recorded sessions: at an instant, what was known then and nothing later.

Prices lie in arrays of contract by start, in units of 1e-4 rupees; decimals are made when they are asked for.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from option_baskets.adapters.feeds.canonical import (
    IDENTITY,
    Kind,
    RecordedSession,
    contracts_in,
    file_name,
    read,
    sessions,
)
from option_baskets.adapters.feeds.settlements import Settlements, read_settlements
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.errors import NotFound
from option_baskets.domain.market import Bar, Quote
from option_baskets.domain.session import IST, Session

_MINUTE = timedelta(minutes=1)
_SCALE = Decimal("0.0001")
_NEVER = -1

Prices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Prices by row (contract or index) and column (start), 0 = missing; ``known[r, c]`` is the last column <= c with
    a price, or -1."""

    open: Prices
    high: Prices
    low: Prices
    close: Prices
    known: NDArray[np.int32]


class RecordedMarket:
    """One recorded session. Not for several threads: prices are cached on first use.

    ``stale`` is the age beyond which a quote may not decide an entry; by default 60 s for bars up to a minute,
    otherwise one data interval.
    """

    def __init__(self, session: RecordedSession, *, stale: timedelta | None = None) -> None:
        self.recorded = session
        self.stale_after = stale if stale is not None else max(_MINUTE, session.interval)
        things = list(contracts_in(session.bars))
        self._row_of: dict[Contract | str, int] = {thing: row for row, thing in enumerate(things)}
        self.listings: Mapping[Contract, Listing] = {listing.contract: listing for listing in session.listings}
        self.expiries = _expiries(session.listings)
        self.monthly_expiries = _expiries(item for item in session.listings if item.series == "monthly")
        self.strikes = _strikes(session.listings)
        starts = session.bars["start"].unique().sort()
        self._starts: list[datetime] = [start.astimezone(IST) for start in starts.to_list()]
        self._column_of = {start: column for column, start in enumerate(self._starts)}
        width = session.interval if session.kind is Kind.BARS else timedelta(0)
        self._known_from = [start + width for start in self._starts]
        self._prices = _table(session.bars, starts, len(things))
        self._decimals: dict[int, Decimal] = {}
        self._latest: RecordedSnapshot | None = None

    def snapshot(self, at: datetime) -> "RecordedSnapshot":
        """What was known at ``at``; a snapshot of one instant is made once while it is the latest asked for."""
        if at.tzinfo is None:
            raise ValueError(f"{at} has no time zone")
        if self._latest is None or self._latest.at != at:
            self._latest = RecordedSnapshot(self, at)
        return self._latest

    def fill_price(self, contract: Contract, at: datetime) -> Decimal | None:
        """What a marketable order sent at ``at`` trades at before slippage: the open of the bar starting then, or the
        known price where the data has no opens or the contract has no such bar. It looks ahead by one open: only
        the paper exchange may ask. None where there is no price."""
        row, column = self._row_of.get(contract), self._column_of.get(at)
        if row is not None and column is not None and self.recorded.kind is Kind.BARS:
            price = self._price(self._prices.open, row, column)
            if price is not None:
                return price
        quote = self.snapshot(at).quote(contract)
        return quote.last if quote else None

    def open_interest(self, at: datetime) -> Mapping[Contract, int]:
        """Units open in each contract as last recorded by ``at``; a contract without a record is absent."""
        width = self.recorded.interval if self.recorded.kind is Kind.BARS else timedelta(0)
        last = (
            self.recorded.bars.filter(pl.col("start") <= at.astimezone(UTC) - width, pl.col("oi").is_not_null())
            .group_by(IDENTITY, maintain_order=True)
            .agg(pl.col("oi").last())
        )
        units = zip(contracts_in(last), last["oi"], strict=True)
        return {contract: int(count) for contract, count in units if isinstance(contract, Contract)}

    def columns_known(self, at: datetime) -> int:
        """How many columns were known at ``at``."""
        return bisect_right(self._known_from, at)

    def last_known(self, known: int) -> list[int]:
        """For every row the column of the last price among the first ``known`` columns, or -1."""
        if known == 0:
            return [_NEVER] * len(self._row_of)
        columns: list[int] = self._prices.known[:, known - 1].tolist()
        return columns

    def quote(self, thing: Contract | str, columns: list[int], at: datetime) -> Quote | None:
        row = self._row_of.get(thing)
        if row is None or (column := columns[row]) == _NEVER:
            return None
        last = self._price(self._prices.close, row, column)
        as_of = self._known_from[column]
        if last is None:
            return None
        bar = None
        if as_of == at and self.recorded.kind is Kind.BARS:
            table = self._prices
            bar = Bar(
                start=self._starts[column],
                end=as_of,
                close=last,
                open=self._price(table.open, row, column),
                high=self._price(table.high, row, column),
                low=self._price(table.low, row, column),
            )
        return Quote(last=last, as_of=as_of, bar=bar)

    def _price(self, prices: Prices, row: int, column: int) -> Decimal | None:
        value = int(prices[row, column])
        if value == 0:
            return None
        price = self._decimals.get(value)
        if price is None:
            price = self._decimals[value] = value * _SCALE
        return price


class RecordedSnapshot:
    """domain.market.Snapshot over a RecordedMarket: every price known at ``at``."""

    __slots__ = ("_columns", "_market", "_quotes", "at")

    def __init__(self, market: RecordedMarket, at: datetime) -> None:
        self.at = at
        self._market = market
        self._columns = market.last_known(market.columns_known(at))
        self._quotes: dict[Contract | str, Quote | None] = {}

    @property
    def stale_after(self) -> timedelta:
        return self._market.stale_after

    def quote(self, contract: Contract) -> Quote | None:
        return self._quote(contract)

    def spot(self, underlying: str) -> Quote | None:
        return self._quote(underlying)

    def _quote(self, thing: Contract | str) -> Quote | None:
        try:
            return self._quotes[thing]
        except KeyError:
            quote = self._quotes[thing] = self._market.quote(thing, self._columns, self.at)
            return quote

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return self._market.expiries.get(underlying, ())

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        return self._market.monthly_expiries.get(underlying, ())

    def listing(self, contract: Contract) -> Listing | None:
        return self._market.listings.get(contract)

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        return self._market.strikes.get((underlying, expiry), ())

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        """The commonest gap between the listed strikes of the middle half; the smaller of equally common ones.

        Raises:
            NotFound: fewer than two strikes are listed.
        """
        strikes = self.strikes(underlying, expiry)
        if len(strikes) < 2:
            raise NotFound(f"{underlying} {expiry}: {len(strikes)} strikes listed, so there is no strike interval")
        quarter = len(strikes) // 4
        middle = strikes[quarter : len(strikes) - quarter]
        gaps = Counter(high - low for low, high in pairwise(middle))
        return min(gaps, key=lambda gap: (-gaps[gap], gap))

    def contracts(self) -> Iterable[Contract]:
        return self._market.listings.keys()


class RecordedFeed:
    """The MarketData port over a directory of sessions; one file is open at a time."""

    def __init__(self, directory: Path, *, stale: timedelta | None = None) -> None:
        self._directory = directory
        self._stale = stale
        self._market: RecordedMarket | None = None
        self._settlements: Settlements | None = None

    def sessions(self) -> tuple[date, ...]:
        """The recorded dates, ascending."""
        return sessions(self._directory)

    def market(self, day: date) -> RecordedMarket:
        """The session of a date.

        Raises:
            NotFound: that date is not recorded.
            Invalid: its file is not in the canonical form.
        """
        if self._market is None or self._market.recorded.date != day:
            path = self._directory / file_name(day)
            if not path.is_file():
                days = self.sessions()
                recorded = f"{len(days)} dates from {days[0]} to {days[-1]}" if days else "nothing; import something"
                raise NotFound(f"{self._directory} has no session of {day}; it has {recorded}")
            self._market = RecordedMarket(read(path), stale=self._stale)
        return self._market

    def session(self, day: date) -> Session:
        """When that day was traded, as its file says. Raises as ``market`` does."""
        return self.market(day).recorded.session

    def fill_price(self, contract: Contract, at: datetime) -> Decimal | None:
        """RecordedMarket.fill_price of the session of ``at``: for the paper exchange alone."""
        return self.market(at.astimezone(IST).date()).fill_price(contract, at)

    async def snapshot(self, at: datetime) -> RecordedSnapshot:
        return self.market(at.astimezone(IST).date()).snapshot(at)

    async def settlement(self, underlying: str, expiry: date) -> Decimal | None:
        """What ``settlements.csv`` beside the sessions says, read once. Raises Invalid where it cannot be read."""
        if self._settlements is None:
            self._settlements = read_settlements(self._directory)
        price, _ = self._settlements.get((expiry, underlying), (None, ""))
        return price


# ---------------------------------------------------------------- tables


def _table(bars: pl.DataFrame, starts: pl.Series, rows: int) -> _Table:
    things = bars.select(IDENTITY).unique(maintain_order=True).with_row_index("row")
    columns = pl.DataFrame({"start": starts}).with_row_index("column")
    placed = bars.join(things, on=IDENTITY, nulls_equal=True, maintain_order="left").join(columns, on="start")
    where = placed["row"].to_numpy(), placed["column"].to_numpy()

    def prices(name: str) -> Prices:
        table = np.zeros((rows, len(starts)), dtype=np.int64)
        table[where] = placed[name].to_physical().cast(pl.Int64).fill_null(0).to_numpy()
        return table

    close = prices("close")
    priced = np.where(close > 0, np.arange(len(starts), dtype=np.int32), np.int32(_NEVER))
    known = np.maximum.accumulate(priced, axis=1)
    return _Table(open=prices("open"), high=prices("high"), low=prices("low"), close=close, known=known)


def _expiries(listings: Iterable[Listing]) -> Mapping[str, tuple[date, ...]]:
    found: defaultdict[str, set[date]] = defaultdict(set)
    for listing in listings:
        found[listing.contract.underlying].add(listing.contract.expiry)
    return {underlying: tuple(sorted(expiries)) for underlying, expiries in found.items()}


def _strikes(listings: Iterable[Listing]) -> Mapping[tuple[str, date], tuple[Decimal, ...]]:
    found: defaultdict[tuple[str, date], set[Decimal]] = defaultdict(set)
    for listing in listings:
        contract = listing.contract
        if contract.strike is not None:
            found[contract.underlying, contract.expiry].add(contract.strike)
    return {key: tuple(sorted(strikes)) for key, strikes in found.items()}
