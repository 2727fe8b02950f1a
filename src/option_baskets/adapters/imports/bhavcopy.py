"""``bhavcopy``: the exchange's daily F&O files of the older kinds.

- ``foDDMMMYYYYbhav.csv`` (until July 2024): every contract; ``CONTRACTS`` in lots, ``OPEN_INT`` in units, no lot size.
  A contract that was not traded carries its last close forward: it is listed without a price.
- ``foDDMMYYYY.zip``: traded contracts only, options in ``opDDMMYYYY.csv``, futures in ``foDDMMYYYY.csv``, names and
  numbers of fixed width. ``TRD_QTY`` is in units and ``NO_OF_CONT`` in lots; their quotient is the lot size.

One bar a session, without the index. Only index options (OPTIDX) and index futures (FUTIDX) are taken.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from option_baskets.adapters.imports.intake import MOMENT, Intake, Options, Source, stage
from option_baskets.adapters.imports.table import read_table, read_zip
from option_baskets.domain.session import IST

SOURCE = Source(name="bhavcopy", interval=None, zero_is_missing=True)

_OLD = (
    *("INSTRUMENT", "SYMBOL", "EXPIRY_DT", "STRIKE_PR", "OPTION_TYP", "OPEN", "HIGH", "LOW", "CLOSE"),
    *("CONTRACTS", "OPEN_INT", "TIMESTAMP"),
)
_ZIPPED_FUTURES = (
    *("INSTRUMENT", "SYMBOL", "EXP_DATE", "OPEN_PRICE", "HI_PRICE", "LO_PRICE", "CLOSE_PRICE", "OPEN_INT*"),
    *("TRD_QTY", "NO_OF_CONT"),
)
_OPTIONS_ONLY = ("STR_PRICE", "OPT_TYPE")
_ZIPPED_OPTIONS = (*_ZIPPED_FUTURES, *_OPTIONS_ONLY)
_QUANTITY, _LOTS = (pl.col(name).cast(pl.Int64, strict=False) for name in ("TRD_QTY", "NO_OF_CONT"))


def bhavcopy(files: Iterable[Path], options: Options) -> Intake:
    """The sessions of the files; a date may come from one file only of either kind."""
    staged = [part for path in files for part in (_zipped(path) if path.suffix == ".zip" else _old(path))]
    return Intake(pl.concat(staged), SOURCE, options)


def _old(path: Path) -> Iterator[pl.DataFrame]:
    yield stage(
        _index_instruments(read_table(path, _OLD)),
        start=_midnight(pl.col("TIMESTAMP").str.to_datetime("%d-%b-%Y", strict=False)),
        underlying=pl.col("SYMBOL"),
        expiry=pl.col("EXPIRY_DT").str.to_date("%d-%b-%Y", strict=False),
        strike=_unless_future("STRIKE_PR"),
        type=_type("OPTION_TYP"),
        open=pl.col("OPEN"),
        high=pl.col("HIGH"),
        low=pl.col("LOW"),
        close=pl.when(pl.col("CONTRACTS").cast(pl.Int64, strict=False) != 0).then("CLOSE"),
        lots=pl.col("CONTRACTS"),
        oi=pl.col("OPEN_INT"),
    )


def _zipped(path: Path) -> Iterator[pl.DataFrame]:
    for stem, table in read_zip(path, {"op": _ZIPPED_OPTIONS, "fo": _ZIPPED_FUTURES}):
        absent = [pl.lit(None, pl.String).alias(name) for name in _OPTIONS_ONLY if name not in table.columns]
        yield stage(
            _index_instruments(table.with_columns(absent)),
            start=_midnight(pl.lit(stem[2:]).str.to_datetime("%d%m%Y", strict=False)),
            underlying=pl.col("SYMBOL"),
            expiry=pl.col("EXP_DATE").str.to_date("%d/%m/%Y", strict=False),
            strike=_unless_future("STR_PRICE"),
            type=_type("OPT_TYPE"),
            open=pl.col("OPEN_PRICE"),
            high=pl.col("HI_PRICE"),
            low=pl.col("LO_PRICE"),
            close=pl.col("CLOSE_PRICE"),
            volume=pl.col("TRD_QTY"),
            oi=pl.col("OPEN_INT*"),
            lot_size=pl.when(_LOTS > 0, _QUANTITY % _LOTS == 0).then(_QUANTITY // _LOTS),
        )


def _index_instruments(table: pl.DataFrame) -> pl.DataFrame:
    taken = pl.col("INSTRUMENT").fill_null("").is_in(["OPTIDX", "FUTIDX"])
    return table.filter(taken | pl.col("reason").is_not_null())


def _midnight(day: pl.Expr) -> pl.Expr:
    return day.dt.replace_time_zone(IST.key).cast(MOMENT)


def _type(option_type: str) -> pl.Expr:
    return pl.when(pl.col("INSTRUMENT") == "FUTIDX").then(pl.lit("FUT")).otherwise(option_type)


def _unless_future(strike: str) -> pl.Expr:
    return pl.when(pl.col("INSTRUMENT") != "FUTIDX").then(strike)
