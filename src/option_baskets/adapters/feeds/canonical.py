"""The canonical form of a recorded session: one Parquet file a date, described in docs/canonical-form.md.

A file carries its own contract list, which replay trusts over the calendar. Prices are exact decimals with four
places; instants are microseconds in UTC. A file is written whole or not at all, and checked on both ways.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Literal, NoReturn

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from option_baskets.adapters.feeds.whole_file import whole_file
from option_baskets.domain.contract import Contract, ContractType, Listing
from option_baskets.domain.errors import Invalid, NotFound, Problem
from option_baskets.domain.facts import SessionKind
from option_baskets.domain.session import IST, Session, Window

FORMAT = 1
METADATA_KEY = "option_baskets.session"
INDEX = "IDX"
"""The type of an index's rows; they have neither expiry nor strike."""
VIX = "INDIAVIX"
"""The underlying of the volatility index's rows."""

PRICE = pl.Decimal(18, 4)
SCHEMA = pl.Schema(
    {
        "start": pl.Datetime("us", "UTC"),
        "underlying": pl.String(),
        "expiry": pl.Date(),
        "strike": PRICE,
        "type": pl.String(),
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": pl.Int64(),
        "oi": pl.Int64(),
    }
)
IDENTITY = ("underlying", "expiry", "strike", "type")
ORDER = ("start", *IDENTITY)


class Kind(StrEnum):
    """What a row is: a bar's close is known at its end, a snapshot's price at its stamp."""

    BARS = "bars"
    SNAPSHOTS = "snapshots"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """One session as it was recorded. ``bars`` has the columns of SCHEMA, ordered by ORDER, no row twice."""

    session: Session
    exchange: str
    kind: Kind
    interval: timedelta
    """Length of a bar; for snapshots their usual distance."""
    listings: tuple[Listing, ...]
    source: str
    """The format it was made from, e.g. ``minute-close``."""
    bars: pl.DataFrame
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rows of the source that were not used, by reason."""

    @property
    def date(self) -> date:
        return self.session.date


def file_name(day: date) -> str:
    return f"{day.isoformat()}.parquet"


def sessions(directory: Path) -> tuple[date, ...]:
    """The dates recorded in a directory, ascending.

    Raises:
        NotFound: there is no such directory.
    """
    if not directory.is_dir():
        raise NotFound(f"{directory} is no directory of sessions; make one with `baskets import` or `baskets simulate`")
    return tuple(sorted(day for path in directory.glob("*.parquet") if (day := _date_of(path)) is not None))


def _date_of(path: Path) -> date | None:
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        return None


# ---------------------------------------------------------------- writing


def write(session: RecordedSession, directory: Path, *, replace: bool = True) -> Path:
    """Write a session whole, or leave the directory as it was. Equal sessions become equal bytes.

    Raises:
        Invalid: the session breaks the form; or, without ``replace``, another recording of that date is there.
        Unavailable: the directory cannot be written, or the disk is full.
    """
    path = directory / file_name(session.date)
    flaws = [Problem(where=str(path), message=flaw) for flaw in _flaws(session)]
    if flaws:
        raise Invalid(flaws)
    header = msgspec.json.encode(_header_of(session)).decode()
    with whole_file(path, replace=replace) as file:
        session.bars.write_parquet(file, metadata={METADATA_KEY: header}, compression="zstd")
    return path


# ---------------------------------------------------------------- reading


def read(path: Path) -> RecordedSession:
    """Read one session.

    Raises:
        NotFound: there is no such file.
        Invalid: it is not a whole session in this version of the form.
    """
    if not path.is_file():
        raise NotFound(f"{path}: there is no recorded session; `baskets import` makes one")
    try:
        text = pl.read_parquet_metadata(path).get(METADATA_KEY)
        if text is None:
            _refuse(path, "it is Parquet, but has no session header")
        bars = pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        _refuse(path, f"it cannot be read ({str(error).splitlines()[0]})", error)
    try:
        version = msgspec.json.decode(text, type=_Version).format
        if version != FORMAT:
            _refuse(path, f"its format is {version}, this program reads {FORMAT}")
        session = _session_of(msgspec.json.decode(text, type=_Header), bars)
    except (msgspec.DecodeError, ValueError) as error:
        _refuse(path, f"its session header is damaged ({error})", error)
    flaws = _flaws(session)
    if _date_of(path) not in (None, session.date):
        flaws.append(f"the name says {path.stem}, the header says {session.date}")
    if flaws:
        _refuse(path, "; ".join(flaws))
    return session


def _refuse(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    message = f"{why}, so it is not a session in the canonical form; make it again with `baskets import`"
    raise Invalid(message, where=str(path)) from cause


def _flaws(session: RecordedSession) -> list[str]:
    """What breaks the form; empty for a sound session."""
    bars = session.bars
    if bars.schema != SCHEMA:
        wrong = [name for name in [*SCHEMA, *bars.schema] if bars.schema.get(name) != SCHEMA.get(name)]
        return [f"columns missing, unknown or of another type: {', '.join(dict.fromkeys(wrong)) or 'their order'}"]
    if bars.is_empty():
        return ["no rows"]
    found = []
    if bars.select(pl.struct(ORDER).is_duplicated().any()).item():
        found.append("a contract has two rows with one start")
    if not bars.equals(bars.sort(ORDER, maintain_order=True)):
        found.append(f"rows are not ordered by {', '.join(ORDER)}")
    outside = bars.filter(~inside(session.session, session.kind)).height
    if outside:
        found.append(f"{outside} rows start outside the session's windows")
    bad = bars.filter(pl.any_horizontal(pl.col("open", "high", "low", "close") < 0)).height
    if bad:
        found.append(f"{bad} rows have a negative price")
    listed = {listing.contract for listing in session.listings}
    unlisted = [
        contract for contract in contracts_in(bars) if isinstance(contract, Contract) and contract not in listed
    ]
    if unlisted:
        found.append(f"{len(unlisted)} contracts are not in the contract list, e.g. {unlisted[0].name}")
    return found


def inside(session: Session, kind: Kind) -> pl.Expr:
    """Whether ``start`` lies in the session: a bar starts before the close, a snapshot may be of the close itself."""
    closed: Literal["both", "left"] = "both" if kind is Kind.SNAPSHOTS else "left"
    start = pl.col("start").dt.convert_time_zone("UTC")
    return pl.any_horizontal(
        start.is_between(window.open.astimezone(UTC), window.close.astimezone(UTC), closed=closed)
        for window in session.windows
    )


def contracts_in(bars: pl.DataFrame) -> Iterator[Contract | str]:
    """What the rows are about, in the order of ``bars.unique(IDENTITY, maintain_order=True)``; a str is an index."""
    for underlying, expiry, strike, type_ in bars.select(IDENTITY).unique(maintain_order=True).iter_rows():
        if type_ == INDEX:
            yield underlying
        else:
            yield Contract(
                underlying=underlying,
                expiry=expiry,
                type=ContractType(type_),
                strike=None if strike is None else plain(strike),
            )


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros or exponent: 16500.0000 becomes 16500."""
    return value.to_integral_value() if value == value.to_integral_value() else value.normalize()


# ---------------------------------------------------------------- the header


class _Version(msgspec.Struct):
    format: int


class _Group(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """The contracts of one expiry that share lot size, tick, freeze quantity and series."""

    underlying: str
    expiry: date
    series: str
    lot_size: int
    tick: Decimal
    freeze_quantity: int | None = None
    future: bool = False
    CE: list[Decimal] = []
    PE: list[Decimal] = []

    def listings(self) -> Iterator[Listing]:
        strikes = [(ContractType.CE, strike) for strike in self.CE] + [(ContractType.PE, strike) for strike in self.PE]
        for type_, strike in [*strikes, *([(ContractType.FUT, None)] if self.future else [])]:
            yield Listing(
                contract=Contract(underlying=self.underlying, expiry=self.expiry, type=type_, strike=strike),
                lot_size=self.lot_size,
                tick=self.tick,
                freeze_quantity=self.freeze_quantity,
                series=self.series,
            )


class _Header(msgspec.Struct):
    format: int
    date: date
    exchange: str
    kind: Kind
    interval_seconds: int
    session: SessionKind
    windows: list[tuple[datetime, datetime]]
    source: str
    rejected: dict[str, int]
    contracts: list[_Group]


def _header_of(session: RecordedSession) -> _Header:
    groups: dict[tuple[str, date, str, int, Decimal, int | None], list[Contract]] = {}
    for item in session.listings:
        contract = item.contract
        key = (contract.underlying, contract.expiry, item.series, item.lot_size, item.tick, item.freeze_quantity)
        groups.setdefault(key, []).append(contract)

    def strikes(contracts: list[Contract], type_: ContractType) -> list[Decimal]:
        return sorted(c.strike for c in contracts if c.type is type_ and c.strike is not None)

    return _Header(
        format=FORMAT,
        date=session.date,
        exchange=session.exchange,
        kind=session.kind,
        interval_seconds=int(session.interval.total_seconds()),
        session=session.session.kind,
        windows=[(window.open, window.close) for window in session.session.windows],
        source=session.source,
        rejected=dict(sorted(session.rejected.items())),
        contracts=[
            _Group(
                *key,
                future=any(contract.type is ContractType.FUT for contract in contracts),
                CE=strikes(contracts, ContractType.CE),
                PE=strikes(contracts, ContractType.PE),
            )
            for key, contracts in sorted(groups.items(), key=lambda entry: (*entry[0][:5], entry[0][5] or 0))
        ],
    )


def _session_of(header: _Header, bars: pl.DataFrame) -> RecordedSession:
    windows = tuple(
        Window(open=opens.astimezone(IST), close=closes.astimezone(IST)) for opens, closes in header.windows
    )
    if not windows:
        raise ValueError("it has no session windows")
    return RecordedSession(
        session=Session(date=header.date, kind=header.session, windows=windows),
        exchange=header.exchange,
        kind=header.kind,
        interval=timedelta(seconds=header.interval_seconds),
        listings=tuple(listing for group in header.contracts for listing in group.listings()),
        source=header.source,
        bars=bars,
        rejected=header.rejected,
    )
