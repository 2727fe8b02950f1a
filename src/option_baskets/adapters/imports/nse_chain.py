"""``nse-chain``: snapshots of the exchange's option chain, about every five minutes.

Columns ``timestamp`` (YYYY-MM-DD HH:MM:SS in IST), ``Symbol``, ``Expiry``, ``Strike``, ``Spot`` and, for CE and PE,
``*_LTP``, ``*_OI`` and ``*_Volume`` in units, cumulative for the day. A last price or spot of 0 means there was none.
One row holds a call and a put; each counts for itself.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import polars as pl

from option_baskets.adapters.feeds.canonical import INDEX, Kind
from option_baskets.adapters.imports.intake import MOMENT, Intake, Options, Source, stage
from option_baskets.adapters.imports.table import read_table
from option_baskets.domain.session import IST

SOURCE = Source(name="nse-chain", kind=Kind.SNAPSHOTS, interval=timedelta(minutes=5), zero_is_missing=True)

_TYPES = ("CE", "PE")
_COLUMNS = (
    "timestamp",
    "Symbol",
    "Expiry",
    "Strike",
    "Spot",
    *(f"{type_}_{figure}" for type_ in _TYPES for figure in ("LTP", "OI", "Volume")),
)
_START = (
    pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.replace_time_zone(IST.key).cast(MOMENT)
)


def nse_chain(files: Iterable[Path], options: Options) -> Intake:
    """The sessions of the files: every symbol's options, and its spot as an index row."""
    staged = []
    for path in files:
        table = read_table(path, _COLUMNS)
        for type_ in _TYPES:
            staged.append(
                stage(
                    table,
                    start=_START,
                    underlying=pl.col("Symbol"),
                    expiry=pl.col("Expiry").str.to_date(strict=False),
                    strike=pl.col("Strike"),
                    type=pl.lit(type_),
                    close=pl.col(f"{type_}_LTP"),
                    volume=pl.col(f"{type_}_Volume"),
                    oi=pl.col(f"{type_}_OI"),
                )
            )
        spots = table.unique(["timestamp", "Symbol", "Spot"], keep="first", maintain_order=True)
        staged.append(stage(spots, start=_START, underlying=pl.col("Symbol"), type=pl.lit(INDEX), close=pl.col("Spot")))
    return Intake(pl.concat(staged), SOURCE, options)
