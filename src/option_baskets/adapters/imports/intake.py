"""From rows as a format has them to sessions in the canonical form: what every format shares.

A format module stages rows: the columns of STAGED, instants in IST, prices as floats, a ``reason`` where it already
knows a row to be bad. Here every row is judged, and what is left becomes sessions. A row is used or rejected with a
reason; there is no third way.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from option_baskets.adapters.feeds.canonical import (
    INDEX,
    ORDER,
    SCHEMA,
    Kind,
    RecordedSession,
    inside,
)
from option_baskets.adapters.imports.listing import listings
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.facts import Facts, Span
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.session import IST, Session, session_of, session_on

MOMENT = pl.Datetime("us", IST.key)
STAGED = pl.Schema(
    {
        "file": pl.String(),
        "row": pl.Int64(),
        "start": MOMENT,
        "underlying": pl.String(),
        "expiry": pl.Date(),
        "strike": pl.Float64(),
        "type": pl.String(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Int64(),
        "oi": pl.Int64(),
        "lot_size": pl.Int64(),
        "reason": pl.String(),
    }
)
_PRICES = ("open", "high", "low", "close")
_SCALED = 10_000
_HAIR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user says besides the files."""

    facts: Facts
    lot_sizes: Mapping[str, int] = field(default_factory=dict)
    """By underlying; the key ``""`` holds for every one. Used where the source itself has no lot size."""
    spans: tuple[Span, ...] = ()
    """The session's windows, instead of those our facts know."""
    dates: frozenset[date] = frozenset()
    """Only these; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a format says of all its rows."""

    name: str
    kind: Kind
    interval: timedelta | None
    """None: one bar a session."""
    zero_is_missing: bool = False
    """A price of 0 means "not traded yet" and is no defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date's rows: a session, unless every row was rejected, and the rejected rows (columns of STAGED)."""

    date: date | None
    session: RecordedSession | None
    rejected: pl.DataFrame


# ---------------------------------------------------------------- reading sources


def read_table(path: Path, columns: Iterable[str]) -> pl.DataFrame:
    """A CSV (plain or gzip, every column as text) or Parquet file, with ``file`` and ``row`` before its columns.

    ``row`` is the line of a CSV, whose header is line 1, and the record of a Parquet file, counted from 1.

    Raises:
        NotFound: there is no such file.
        Invalid: it cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    parquet = path.suffix == ".parquet"
    try:
        table = pl.read_parquet(path) if parquet else pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True)
    except (OSError, PolarsError) as error:
        wanted = "Parquet" if parquet else "CSV, plain or gzipped"
        raise Invalid(f"cannot be read as {wanted}: {str(error).splitlines()[0]}", where=str(path)) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise Invalid(
            f"has no column {', '.join(missing)}; its columns are {', '.join(table.columns)}: is it another format?",
            where=str(path),
        )
    first = 1 if parquet else 2
    return table.select(
        pl.lit(path.name).alias("file"), pl.int_range(first, pl.len() + first, dtype=pl.Int64).alias("row"), pl.all()
    )


def stage(table: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Rows in the columns of STAGED; a column not given is null, a value that does not convert becomes null."""
    given = {"file": pl.col("file"), "row": pl.col("row"), **columns}
    return table.select(
        (given[name] if name in given else pl.lit(None)).cast(dtype, strict=False).alias(name)
        for name, dtype in STAGED.items()
    )


# ---------------------------------------------------------------- judging rows


def days(staged: pl.DataFrame, source: Source, options: Options) -> Iterator[Day]:
    """One Day a date, ascending; rows whose date cannot be read come first, as a Day without one.

    Raises:
        Invalid: a lot size that neither source, options nor facts know.
    """
    dated = staged.with_columns(pl.col("start").dt.date().alias("date"))
    if options.dates:
        dated = dated.filter(pl.col("date").is_in(options.dates) | pl.col("date").is_null())
    for (day,), rows in sorted(dated.group_by("date", maintain_order=True), key=lambda group: str(group[0][0] or "")):
        if not isinstance(day, date):
            reason = pl.coalesce("reason", pl.lit("time unreadable")).alias("reason")
            yield Day(date=None, session=None, rejected=rows.drop("date").with_columns(reason))
        else:
            yield _day(day, rows.drop("date"), source, options)


def _day(day: date, rows: pl.DataFrame, source: Source, options: Options) -> Day:
    exchange = next((exchange_of(options.facts, name) for name in _underlyings(rows, options.facts)), None)
    session = session_of(day, *options.spans) if options.spans else session_on(options.facts, day, exchange or "NSE")
    judged = rows.with_columns(_reason(day, session, source).alias("reason")).pipe(_reject_repeats)
    good = judged.filter(pl.col("reason").is_null())
    rejected = judged.filter(pl.col("reason").is_not_null())
    if session is None or good.is_empty():
        return Day(date=day, session=None, rejected=rejected)
    bars = good.select(
        pl.col(name).fill_nan(None).replace(0.0, None) if name in _PRICES else pl.col(name) for name in SCHEMA
    )
    bars = bars.with_columns(pl.col("start").dt.convert_time_zone("UTC")).cast(dict(SCHEMA)).sort(ORDER)  # type: ignore[arg-type]
    reasons = rejected.group_by("reason").len().sort("reason")
    return Day(
        date=day,
        rejected=rejected,
        session=RecordedSession(
            session=session,
            exchange=exchange or "NSE",
            kind=source.kind,
            interval=source.interval or session.close - session.open,
            listings=listings(day, good, options.facts, options.lot_sizes),
            source=source.name,
            bars=bars,
            rejected=dict(reasons.iter_rows()),
        ),
    )


def _underlyings(rows: pl.DataFrame, facts: Facts) -> list[str]:
    return [name for name in rows["underlying"].drop_nulls().unique().sort() if name in facts.names]


def _reason(day: date, session: Session | None, source: Source) -> pl.Expr:
    """Why a row cannot be used: the first that holds; null for a good row."""
    prices = [pl.col(name) for name in _PRICES]
    given = [price.is_not_null() & (price != 0) for price in prices]
    scaled = [price * _SCALED for price in prices]
    option = pl.col("type").is_in(["CE", "PE"])
    opens, high, low, close = prices
    shape = (
        opens.is_not_null()
        & (opens != 0)
        & ((high < pl.max_horizontal(opens, low, close)) | (low > pl.min_horizontal(opens, close)))
    )
    rules: list[tuple[str, pl.Expr]] = [
        ("underlying missing", pl.col("underlying").is_null() | (pl.col("underlying") == "")),
        ("type unknown", pl.col("type").is_null() | ~pl.col("type").is_in(["CE", "PE", "FUT", INDEX])),
        ("expiry unreadable", pl.col("expiry").is_null() & (pl.col("type") != INDEX)),
        ("strike unreadable", option & (pl.col("strike").is_null() | ~(pl.col("strike") > 0))),
        ("expired before this day", pl.col("expiry") < day),
        ("not a trading day", pl.lit(session is None)),
        ("outside the session", ~inside(session, source.kind) if session else pl.lit(False)),
        ("price missing or not a number", close.is_null() | ~close.is_finite()),
        ("price below zero", pl.any_horizontal(price < 0 for price in prices)),
        ("price zero", (close == 0) & pl.lit(not source.zero_is_missing)),
        (
            "price has more than 4 decimals",
            pl.any_horizontal(has & ((x - x.round()).abs() > _HAIR) for has, x in zip(given, scaled, strict=True)),
        ),
        ("high and low do not hold open and close", shape),
        ("volume or open interest below zero", pl.any_horizontal(pl.col("volume", "oi") < 0)),
    ]
    cases = [pl.when(bad.fill_null(value=False)).then(pl.lit(reason)) for reason, bad in rules]
    return pl.coalesce(pl.col("reason"), *cases)


def _reject_repeats(judged: pl.DataFrame) -> pl.DataFrame:
    """Of equal rows the first is used; rows that disagree about one contract and moment are all rejected."""
    good = pl.col("reason").is_null()
    if not judged.filter(good).select(ORDER).is_duplicated().any():
        return judged
    key = [*ORDER, good]
    versions = pl.struct(*_PRICES, "volume", "oi").n_unique().over(key)
    repeat = pl.int_range(pl.len()).over(key) > 0
    return judged.with_columns(
        pl.when(good & (versions > 1))
        .then(pl.lit("rows of one contract and moment disagree"))
        .when(good & repeat)
        .then(pl.lit("repeated row"))
        .otherwise("reason")
        .alias("reason")
    )
