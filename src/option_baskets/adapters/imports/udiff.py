"""``udiff``: the exchange's daily F&O file in the unified format (since July 2024), whole or split by symbol.

One bar a session. ``TtlTradgVol`` is in lots, ``OpnIntrst`` in units, ``NewBrdLotQty`` the contract's lot size. A
contract that was not traded carries its last close forward, which is no price of this session: it is listed without
one. The underlying's close becomes an index row. Only index options (IDO) and index futures (IDF) are taken.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl

from option_baskets.adapters.feeds.canonical import INDEX
from option_baskets.adapters.imports.intake import MOMENT, Intake, Options, Source, stage
from option_baskets.adapters.imports.table import read_table
from option_baskets.domain.session import IST

SOURCE = Source(name="udiff", interval=None, zero_is_missing=True)

_COLUMNS = (
    *("TradDt", "FinInstrmTp", "TckrSymb", "XpryDt", "StrkPric", "OptnTp", "OpnPric", "HghPric", "LwPric", "ClsPric"),
    *("UndrlygPric", "OpnIntrst", "TtlTradgVol", "NewBrdLotQty"),
)
_OPTIONAL = "SttlmPric"
"""Of a contract on its expiry day: the final settlement price of the index, not of the contract."""
_WITHOUT = pl.lit(None, pl.String).alias(_OPTIONAL)
_START = pl.col("TradDt").str.to_datetime("%Y-%m-%d", strict=False).dt.replace_time_zone(IST.key).cast(MOMENT)
_TRADED = pl.col("TtlTradgVol").cast(pl.Int64, strict=False) != 0


def udiff(files: Iterable[Path], options: Options) -> Intake:
    """The sessions of the files; files of one date become one session."""
    tables = [
        read.select("file", "row", "reason", *_COLUMNS, _OPTIONAL if _OPTIONAL in read.columns else _WITHOUT)
        for read in (read_table(path, _COLUMNS) for path in files)
    ]
    staged = []
    for table in tables:
        rows = table.filter(pl.col("FinInstrmTp").fill_null("").is_in(["IDO", "IDF"]) | pl.col("reason").is_not_null())
        staged.append(
            stage(
                rows,
                start=_START,
                underlying=pl.col("TckrSymb"),
                expiry=pl.col("XpryDt").str.to_date(strict=False),
                strike=pl.col("StrkPric"),
                type=pl.when(pl.col("FinInstrmTp") == "IDF").then(pl.lit("FUT")).otherwise("OptnTp"),
                open=pl.col("OpnPric"),
                high=pl.col("HghPric"),
                low=pl.col("LwPric"),
                close=pl.when(_TRADED).then("ClsPric"),
                lots=pl.col("TtlTradgVol"),
                oi=pl.col("OpnIntrst"),
                lot_size=pl.col("NewBrdLotQty"),
            )
        )
        sound = rows.filter(pl.col("reason").is_null())
        spots = sound.unique(["TradDt", "TckrSymb", "UndrlygPric"], keep="first", maintain_order=True)
        staged.append(
            stage(spots, start=_START, underlying=pl.col("TckrSymb"), type=pl.lit(INDEX), close=pl.col("UndrlygPric"))
        )
    return Intake(pl.concat(staged), SOURCE, options, settlements=_settlements(tables))


def _settlements(tables: Sequence[pl.DataFrame]) -> dict[tuple[date, str], tuple[Decimal, str]]:
    """Final settlement prices: those of contracts on their expiry day, where all of an underlying agree."""
    expiring = pl.concat(
        table.select("TradDt", "TckrSymb", pl.col(_OPTIONAL).cast(pl.Float64, strict=False).alias("price")).filter(
            table["reason"].is_null()
            & table["FinInstrmTp"].fill_null("").is_in(["IDO", "IDF"])
            & (table["TradDt"] == table["XpryDt"])
        )
        for table in tables
    ).drop_nulls()
    found = expiring.group_by("TradDt", "TckrSymb").agg(pl.col("price").unique())
    return {
        (date.fromisoformat(day), underlying): (Decimal(f"{prices[0]:.4f}").normalize(), SOURCE.name)
        for day, underlying, prices in found.iter_rows()
        if len(prices) == 1 and prices[0] > 0
    }
