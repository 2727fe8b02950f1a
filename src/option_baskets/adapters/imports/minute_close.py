"""``minute-close``: one table of option closes by minute, and a CSV of the index and its volatility index.

Options: ``epoch`` (start of the minute, UTC seconds), ``date``, ``expiry_inferred``, ``option_type``, ``strike``,
``close``. Index: ``epoch``, ``date``, ``<name>_open`` … ``<name>_close`` and ``vix_close``, where <name> is the
underlying in lower case.
"""

from pathlib import Path

import polars as pl

from option_baskets.adapters.feeds.canonical import INDEX, VIX
from option_baskets.adapters.imports.intake import MOMENT, Intake, Options, Source, stage
from option_baskets.adapters.imports.table import read_table

SOURCE = Source(name="minute-close")

_START = pl.from_epoch(pl.col("epoch").cast(pl.Int64, strict=False)).cast(MOMENT)
_MISDATED = (
    pl.when(pl.col("date") != _START.dt.date().cast(pl.String))
    .then(pl.lit("date and epoch disagree"))
    .otherwise(pl.lit(None, pl.String))
)


def minute_close(options_file: Path, index_file: Path | None, underlying: str, options: Options) -> Intake:
    """The sessions of the two files, ascending. Without an index file the sessions have no spot."""
    table = read_table(options_file, ("epoch", "date", "expiry_inferred", "option_type", "strike", "close"))
    staged = [
        stage(
            table,
            start=_START,
            underlying=pl.lit(underlying),
            expiry=pl.col("expiry_inferred").str.to_date(strict=False),
            strike=pl.col("strike"),
            type=pl.col("option_type"),
            close=pl.col("close"),
            reason=_MISDATED,
        )
    ]
    if index_file is not None:
        name = underlying.lower()
        prices = {price: f"{name}_{price}" for price in ("open", "high", "low", "close")}
        index = read_table(index_file, ("epoch", "date", *prices.values(), "vix_close"))
        row = {"start": _START, "type": pl.lit(INDEX), "reason": _MISDATED}
        staged += [
            stage(index, underlying=pl.lit(underlying), **row, **{key: pl.col(name) for key, name in prices.items()}),
            stage(index, underlying=pl.lit(VIX), **row, close=pl.col("vix_close")),
        ]
    return Intake(pl.concat(staged), SOURCE, options)
