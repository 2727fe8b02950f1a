"""From rows as a format has them to sessions in the canonical form: what every format shares.

A format module stages rows: the columns of STAGED, instants in IST, prices as floats, a ``reason`` where it already
knows a row to be bad. Here every row is judged, and what is left becomes sessions. A row is used or rejected with a
reason; there is no third way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from option_baskets.adapters.feeds.canonical import INDEX, ORDER, SCHEMA, Kind, RecordedSession, inside
from option_baskets.adapters.feeds.settlements import Settlements
from option_baskets.adapters.imports.listing import listings
from option_baskets.domain.facts import Exchange, Facts, Span
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.session import IST, Session, session_of, session_on

MOMENT = pl.Datetime("us", IST.key)
STAGED = pl.Schema(
    {
        "file": pl.String(),
        "row": pl.Int64(),
        "reason": pl.String(),
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
        "lots": pl.Int64(),
        "lot_size": pl.Int64(),
    }
)
"""``volume`` is in units; a format that counts lots gives ``lots`` instead. ``date`` is needed of no format."""
PRICES = ("open", "high", "low", "close")
_SCALED = 10_000
_HAIR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user says besides the files."""

    facts: Facts
    lot_sizes: Mapping[str, int] = field(default_factory=dict)
    """By underlying, or for ANY; used where the source itself has none."""
    spans: tuple[Span, ...] = ()
    """The session's windows, instead of those our facts know."""
    dates: frozenset[date] = frozenset()
    """Only these; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a format says of all its rows."""

    name: str
    kind: Kind = Kind.BARS
    interval: timedelta | None = timedelta(minutes=1)
    """None: one bar a session; its rows may start at midnight."""
    zero_is_missing: bool = False
    """A price of 0 means "not traded yet" and is no defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One date's rows: a session, unless every row was rejected, and the rejected rows (columns of STAGED)."""

    date: date | None
    session: RecordedSession | None
    rejected: pl.DataFrame


class Intake:
    """The staged rows of all files, one Day a date in ascending order; rows without a readable date come first.

    Iterating raises Invalid for a lot size that neither the source, nor the options, nor our facts know.
    """

    def __init__(
        self, staged: pl.DataFrame, source: Source, options: Options, *, settlements: Settlements | None = None
    ) -> None:
        self.settlements = settlements or {}
        """Final settlement prices the files have, of any date."""
        day = pl.col("start").dt.date()
        if options.dates:
            staged = staged.filter(day.is_in(list(options.dates)) | day.is_null())
        self._days = staged.with_columns(day.alias("date")).partition_by(
            "date", as_dict=True, include_key=False, maintain_order=True
        )
        self._source, self._options = source, options

    def __len__(self) -> int:
        return len(self._days)

    def __iter__(self) -> Iterator[Day]:
        for day in sorted((key[0] for key in self._days), key=lambda key: key or date.min):
            rows = self._days[(day,)]
            if day is None:
                undated = pl.coalesce("reason", pl.lit("time unreadable")).alias("reason")
                yield Day(date=None, session=None, rejected=rows.with_columns(undated))
            else:
                yield _day(day, rows, self._source, self._options)


def stage(table: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Rows in the columns of STAGED; a column not given is null, and a row with an unreadable number gets a reason."""
    reasons = [pl.col("reason"), *([columns.pop("reason")] if "reason" in columns else [])]
    given = {name: pl.col(name) for name in ("file", "row", "reason")} | columns
    converted = {name: column.cast(STAGED[name], strict=False) for name, column in given.items()}
    for name, column in columns.items():
        if STAGED[name].is_numeric():
            lost = column.is_not_null() & converted[name].is_null()
            reasons.append(pl.when(lost).then(pl.lit(f"{name} is not a number")))
    converted["reason"] = pl.coalesce(reasons)
    return table.select(converted.get(name, pl.lit(None, dtype)).alias(name) for name, dtype in STAGED.items())


# ---------------------------------------------------------------- one date


def _day(day: date, rows: pl.DataFrame, source: Source, options: Options) -> Day:
    facts = options.facts
    names = rows["underlying"].drop_nulls().unique().sort()
    exchange = next((exchange_of(facts, name) for name in names if name in facts.names), Exchange.NSE)
    session = session_of(day, *options.spans) if options.spans else session_on(facts, day, exchange)
    if source.interval is None and session is not None:
        rows = rows.with_columns(pl.lit(session.open).cast(MOMENT).alias("start"))
    judged = rows.with_columns(_reason(day, session, source).alias("reason")).pipe(_reject_repeats)
    good = judged.filter(pl.col("reason").is_null())
    rejected = judged.filter(pl.col("reason").is_not_null())
    if session is None or good.is_empty():
        return Day(date=day, session=None, rejected=rejected)
    listed = listings(day, good, facts, options.lot_sizes)
    lots = {(item.contract.underlying, item.contract.expiry): item.lot_size for item in listed}
    recorded = RecordedSession(
        session=session,
        exchange=exchange,
        kind=source.kind,
        interval=source.interval or session.close - session.open,
        listings=listed,
        source=source.name,
        bars=_bars(good, lots),
        rejected=dict(rejected.group_by("reason").len().iter_rows()),
    )
    return Day(date=day, session=recorded, rejected=rejected)


def _bars(good: pl.DataFrame, lots: Mapping[tuple[str, date], int]) -> pl.DataFrame:
    sizes = pl.DataFrame(
        [(*expiry, size) for expiry, size in lots.items()],
        schema={"underlying": pl.String, "expiry": pl.Date, "size": pl.Int64},
        orient="row",
    )
    return (
        good.join(sizes, on=["underlying", "expiry"], how="left", maintain_order="left")
        .with_columns(
            pl.col("start").dt.convert_time_zone("UTC"),
            pl.coalesce("volume", pl.col("lots") * pl.col("size")).alias("volume"),
            *(pl.when(pl.col(name) != 0).then(name).alias(name) for name in PRICES),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort(ORDER)
    )


def _reason(day: date, session: Session | None, source: Source) -> pl.Expr:
    """Why a row cannot be used: the first that holds; null for a good row."""
    opens, high, low, close = (pl.when(pl.col(name) != 0).then(name) for name in PRICES)
    scaled = [pl.col(name) * _SCALED for name in PRICES]
    option = pl.col("type").is_in(["CE", "PE"])
    rules: list[tuple[str, pl.Expr]] = [
        ("underlying missing", pl.col("underlying").is_null()),
        ("type unknown", ~pl.col("type").fill_null("").is_in(["CE", "PE", "FUT", INDEX])),
        ("expiry unreadable", pl.col("expiry").is_null() & (pl.col("type") != INDEX)),
        ("strike unreadable", option & ~(pl.col("strike").fill_null(0) > 0)),
        ("expired before this day", pl.col("expiry") < day),
        ("not a trading day", pl.lit(session is None)),
        ("outside the session", ~inside(session, source.kind) if session else pl.lit(value=False)),
        ("price missing or not a number", _not_a_number(source)),
        ("price below zero", pl.any_horizontal(pl.col(name) < 0 for name in PRICES)),
        ("price zero", (pl.col("close") == 0) & pl.lit(not source.zero_is_missing)),
        ("price has more than 4 decimals", pl.any_horizontal((x - x.round()).abs() > _HAIR for x in scaled)),
        ("high below low, open or close", high < pl.max_horizontal(low, opens, close)),
        ("low above open or close", low > pl.min_horizontal(opens, close)),
        ("volume or open interest below zero", pl.any_horizontal(pl.col("volume", "oi", "lots") < 0)),
    ]
    cases = [pl.when(bad).then(pl.lit(reason)) for reason, bad in rules]
    return pl.coalesce("reason", *cases)


def _not_a_number(source: Source) -> pl.Expr:
    missing = pl.lit(value=False) if source.zero_is_missing else pl.col("close").is_null()
    return missing | pl.any_horizontal(~pl.col(name).is_finite() for name in PRICES)


def _reject_repeats(judged: pl.DataFrame) -> pl.DataFrame:
    """Of equal rows the first is used; rows that disagree about one contract and moment are all rejected."""
    good = pl.col("reason").is_null()
    if not judged.filter(good).select(ORDER).is_duplicated().any():
        return judged
    key = [*ORDER, good.alias("good")]
    versions = pl.struct(*PRICES, "volume", "oi", "lots").n_unique().over(key)
    repeat = pl.int_range(pl.len()).over(key) > 0
    return judged.with_columns(
        pl.when(good & (versions > 1))
        .then(pl.lit("rows of one contract and moment disagree"))
        .when(good & repeat)
        .then(pl.lit("repeated row"))
        .otherwise("reason")
        .alias("reason")
    )
