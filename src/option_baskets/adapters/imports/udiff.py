"""``udiff``: the exchange's daily F&O file in the unified format (since July 2024), whole or split by symbol.

One bar a session. ``TtlTradgVol`` is in lots, ``OpnIntrst`` in units, ``NewBrdLotQty`` the contract's lot size. A
contract that was not traded carries its last close forward, which is no price of this session: it is listed without
one. The underlying's close becomes an index row. Only index options (IDO) and index futures (IDF) are taken.
"""

from collections.abc import Iterable
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
_START = pl.col("TradDt").str.to_datetime("%Y-%m-%d", strict=False).dt.replace_time_zone(IST.key).cast(MOMENT)
_TRADED = pl.col("TtlTradgVol").cast(pl.Int64, strict=False) != 0


def udiff(files: Iterable[Path], options: Options) -> Intake:
    """The sessions of the files; files of one date become one session."""
    tables = [read_table(path, _COLUMNS).select("file", "row", "reason", *_COLUMNS) for path in files]
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
    return Intake(pl.concat(staged), SOURCE, options)
