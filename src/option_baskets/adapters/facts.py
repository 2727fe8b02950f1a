"""Facts from the package's own files, and from a folder of later revisions."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from option_baskets.adapters.fact_table import (
    Parse,
    Table,
    amount,
    clock,
    count,
    day,
    one_of,
    percent,
    several,
    span,
    spans,
    step,
    text,
    units,
    weekday,
    yes,
)
from option_baskets.domain.errors import Invalid, Problem
from option_baskets.domain.facts import (
    Brokerage,
    Charge,
    ChargedSide,
    Credential,
    Exchange,
    ExpiryException,
    ExpiryRevision,
    ExpiryRule,
    Facts,
    Freeze,
    Halted,
    Holiday,
    Hours,
    Instrument,
    ListedCount,
    ListedSeries,
    Lot,
    LotConversion,
    MarginPart,
    MarginRate,
    Need,
    PriceBand,
    Rate,
    SessionKind,
    SpecialSession,
    SquareOff,
    Underlying,
)

_Row = TypeVar("_Row")

_SOURCE: dict[str, Parse] = {"status": text, "sources": text, "note": text}
_DATED: dict[str, Parse] = {"effective_from": day, "effective_to": day, **_SOURCE}
_SERIES_OF: dict[str, Parse] = {"underlying": text, "series": one_of(ListedSeries)}

_HOURS = Table(
    name="sessions.csv",
    row=Hours,
    columns={"hours": span, "final_settlement": text},
    optional={"expiring_close": clock, "spot_frozen": span, **_DATED},
)
_HOLIDAYS = Table(
    name="holidays.csv",
    row=Holiday,
    columns={"date": day, "name": text, "exchanges": several(one_of(Exchange))},
    optional={"withdrawn": yes, **_SOURCE},
)
_SPECIAL_SESSIONS = Table(
    name="special_sessions.csv",
    row=SpecialSession,
    columns={"date": day, "kind": one_of(SessionKind), "windows": spans},
    optional=_SOURCE,
)
_HALTS = Table(
    name="halts.csv",
    row=Halted,
    columns={"date": day, "windows": spans},
    optional=_SOURCE,
)
_UNDERLYINGS = Table(
    name="underlyings.csv",
    row=Underlying,
    columns={
        "underlying": text,
        "exchange": one_of(Exchange),
        "index_name": text,
        "strike_step": step,
        "tick": step,
    },
    optional=_DATED,
)
_SERIES = Table(
    name="series.csv",
    row=ListedCount,
    columns={**_SERIES_OF, "listed": count},
    optional={"half_yearly": count, **_DATED},
)
_EXPIRY_RULES = Table(
    name="expiry_rules.csv",
    row=ExpiryRule,
    columns={**_SERIES_OF, "weekday": weekday},
    optional=_DATED,
)
_EXPIRY_EXCEPTIONS = Table(
    name="expiry_exceptions.csv",
    row=ExpiryException,
    columns={"underlying": text, "scheduled": day, "expiry": day},
    optional=_SOURCE,
)
_EXPIRY_REVISIONS = Table(
    name="expiry_revisions.csv",
    row=ExpiryRevision,
    columns={"underlying": text, "old_expiry": day, "new_expiry": day, "effective_after_eod": day},
    optional=_SOURCE,
)
_LOTS = Table(
    name="lots.csv",
    row=Lot,
    columns={**_SERIES_OF, "lot": units},
    optional={"first_expiry": day, "last_expiry": day, **_SOURCE},
    fields={"first_expiry": "effective_from", "last_expiry": "effective_to"},
)
_LONG_DATED_LOTS = Table(
    name="long_dated_lots.csv",
    row=LotConversion,
    columns={"underlying": text, "old_lot": units, "new_lot": units, "effective_after_eod": day},
    optional=_SOURCE,
)
_FREEZE_QUANTITIES = Table(
    name="freeze_quantities.csv",
    row=Freeze,
    columns={"underlying": text, "quantity": units},
    optional=_DATED,
)
_CHARGES = Table(
    name="charges.csv",
    row=Rate,
    columns={
        "charge": one_of(Charge),
        "exchanges": several(one_of(Exchange)),
        "instruments": several(one_of(Instrument)),
        "side": one_of(ChargedSide),
        "percent": percent,
    },
    optional=_DATED,
)
_BROKERAGE = Table(
    name="brokerage.csv",
    row=Brokerage,
    columns={"broker": text, "instrument": one_of(Instrument), "rupees": amount},
    optional={"percent": amount, **_DATED},
)
_MARGINS = Table(
    name="margins.csv",
    row=MarginRate,
    columns={"component": one_of(MarginPart), "percent": amount},
    optional=_DATED,
    fields={"component": "part"},
)
_SQUARE_OFFS = Table(
    name="square_offs.csv",
    row=SquareOff,
    columns={"broker": text, "at": clock},
    optional=_DATED,
)
_CREDENTIALS = Table(
    name="credentials.csv",
    row=Credential,
    columns={"broker": text, "field": text, "needed": one_of(Need)},
    optional=_DATED,
)
_PRICE_BANDS = Table(
    name="price_bands.csv",
    row=PriceBand,
    columns={
        "exchanges": several(one_of(Exchange)),
        "instruments": several(one_of(Instrument)),
        "percent": amount,
        "least": amount,
    },
    optional=_DATED,
)
_TABLES = (
    _HOURS,
    _HOLIDAYS,
    _SPECIAL_SESSIONS,
    _HALTS,
    _UNDERLYINGS,
    _SERIES,
    _EXPIRY_RULES,
    _EXPIRY_EXCEPTIONS,
    _EXPIRY_REVISIONS,
    _LOTS,
    _LONG_DATED_LOTS,
    _FREEZE_QUANTITIES,
    _CHARGES,
    _BROKERAGE,
    _MARGINS,
    _SQUARE_OFFS,
    _CREDENTIALS,
    _PRICE_BANDS,
)


def load(extra: Path | None = None) -> Facts:
    """The package's facts, with the rows of same-named files in ``extra`` after them.

    Raises:
        Invalid: every bad row of every file, with file, row, value and way out.
    """
    problems = list(_unfit(extra)) if extra else []
    folders: list[Traversable] = [files("option_baskets") / "facts", *([extra] if extra else [])]

    def rows(table: Table[_Row], known: Mapping[str, frozenset[str]] = {}) -> tuple[_Row, ...]:
        return tuple(row for folder in folders for row in table.read(folder / table.name, problems, known))

    underlyings = rows(_UNDERLYINGS)
    names = {"underlying": frozenset(row.underlying for row in underlyings)}
    facts = Facts(
        hours=rows(_HOURS),
        holidays={(exchange, row.date): row for row in rows(_HOLIDAYS) for exchange in row.exchanges},
        special_sessions={row.date: row for row in rows(_SPECIAL_SESSIONS)},
        halts={row.date: row for row in rows(_HALTS)},
        underlyings=underlyings,
        series=rows(_SERIES, names),
        expiry_rules=rows(_EXPIRY_RULES, names),
        expiry_exceptions=rows(_EXPIRY_EXCEPTIONS, names),
        expiry_revisions=rows(_EXPIRY_REVISIONS, names),
        lots=rows(_LOTS, names),
        lot_conversions=rows(_LONG_DATED_LOTS, names),
        freeze_quantities=rows(_FREEZE_QUANTITIES, names),
        rates=rows(_CHARGES),
        brokerages=rows(_BROKERAGE),
        margins=rows(_MARGINS),
        square_offs=rows(_SQUARE_OFFS),
        credentials=rows(_CREDENTIALS),
        price_bands=rows(_PRICE_BANDS),
    )
    if problems:
        raise Invalid(problems)
    return facts


def _unfit(extra: Path) -> Iterator[Problem]:
    if not extra.is_dir():
        yield Problem(where=str(extra), message="is not a folder; give the folder that has the CSV files")
        return
    names = [table.name for table in _TABLES]
    for path in sorted(extra.glob("*.csv")):
        if path.name not in names:
            yield Problem(where=path.name, message=f"is not a table of facts; the tables are {', '.join(names)}")
