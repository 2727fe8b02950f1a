"""A simulated day as a recorded session of minute bars.

Prices are looked at every 15 seconds: a bar opens with the first, closes with the last price known at its end, which
is what the live simulated market would have said at that instant. Volumes and open interest are plausible and no more:
busiest at the money, in the next expiry, and with the day's activity. An index and INDIAVIX have neither.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from option_baskets.adapters.feeds.canonical import INDEX, ORDER, PRICE, SCHEMA, VIX, Kind, RecordedSession
from option_baskets.adapters.feeds.simulated.chain import Expiry
from option_baskets.adapters.feeds.simulated.market import Index, SimulatedMarket
from option_baskets.adapters.feeds.simulated.randomness import uniform
from option_baskets.domain.contract import Contract, Listing
from option_baskets.domain.session import Session

Ints = NDArray[np.int64]

NEAREST: Final = 3
"""Expiries that are recorded, besides the first two monthly ones."""
_MINUTE: Final = timedelta(minutes=1)
_LOOKS: Final = 4
"""A minute: every 15 seconds."""
_VOLUME: Final = 2500.0
"""Lots a minute at the money in the next expiry of NIFTY."""
_INTEREST: Final = 60_000.0
"""Lots open at the money in the next expiry of NIFTY."""
_FUTURE_VOLUME: Final = 250.0
_OPEN_TO_CLOSE: Final = 0.15
"""How far open interest may drift in a day, as a ratio."""


def record(market: SimulatedMarket) -> RecordedSession:
    """The whole day. Equal markets give equal sessions."""
    minutes = market.seconds // 60
    looks = np.arange(minutes * _LOOKS + 1, dtype=np.int64)[:, None] * (60 // _LOOKS)
    starts = _starts(market, minutes)
    frames: list[pl.DataFrame] = []
    listings: list[Listing] = []
    for index in market.indices.values():
        frames.append(_spot_bars(index.name, index.spot[looks[:, 0]], starts))
        for row in _recorded(index):
            last = _last_minute(index, row, minutes)
            contracts = [*row.options, *([row.future] if row.has_future else [])]
            listings += [listing for each in contracts if (listing := index.chain.listing(each)) is not None]
            frames.append(_bars(market, index, row, looks[: last * _LOOKS + 1], starts[:last]))
    first = next(iter(market.indices.values()))
    frames.append(_spot_bars(VIX, first.surface.vix(looks[:, 0]), starts))
    return RecordedSession(
        session=market.session,
        exchange=first.chain.exchange,
        kind=Kind.BARS,
        interval=_MINUTE,
        listings=tuple(listings),
        source="simulated",
        bars=_traded(market.session, pl.concat(frames)).sort(ORDER, maintain_order=True),
    )


def _traded(session: Session, bars: pl.DataFrame) -> pl.DataFrame:
    """Without the minutes of a halt, in which nothing was."""
    for halt in session.halts:
        first, end = halt.open.astimezone(UTC), halt.close.astimezone(UTC)
        bars = bars.filter(~pl.col("start").is_between(first, end, closed="left"))
    return bars


def _recorded(index: Index) -> list[Expiry]:
    rows = list(index.chain.expiries.values())
    monthly = [row for row in rows if row.has_future][:2]
    return [row for n, row in enumerate(rows) if n < NEAREST or row in monthly]


def _last_minute(index: Index, row: Expiry, minutes: int) -> int:
    return min(minutes, index.closes_at // 60) if row.horizon.sessions == 0 else minutes


def _starts(market: SimulatedMarket, minutes: int) -> list[datetime]:
    starts = [
        window.open + _MINUTE * n
        for window in market.session.windows
        for n in range(int((window.close - window.open) / _MINUTE))
    ]
    return [start.astimezone(UTC) for start in starts[:minutes]]


def _bars(market: SimulatedMarket, index: Index, row: Expiry, looks: Ints, starts: list[datetime]) -> pl.DataFrame:
    hurry = market.hurry(looks)
    last = index.options(row, looks, hurry).last
    distance = index.surface.smile(row.horizon, looks[_LOOKS::_LOOKS]).distances(row.points)
    near = row.thinness**-1.5 * np.exp(-0.5 * np.minimum(distance, 4) ** 2)
    lots = _VOLUME * index.profile.depth * near
    interest = _INTEREST * index.profile.depth * near[:1].repeat(len(near), axis=0)
    contracts: list[Contract] = list(row.options)
    keys = row.keys
    if row.has_future:
        contracts.append(row.future)
        keys = np.concatenate([keys, row.future_keys])
        last = np.concatenate([last, index.future(row, looks, hurry).last], axis=1)
        busy = np.full((len(near), 1), _FUTURE_VOLUME * index.profile.depth / row.thinness)
        lots = np.concatenate([lots, busy], axis=1)
        interest = np.concatenate([interest, 200 * busy], axis=1)
    units = row.lot
    activity = market.sky.activity[looks[:-1:_LOOKS, 0]][:, None]
    traded = np.rint(-np.log(uniform(keys, looks[:-1:_LOOKS], 5)) * lots * activity).astype(np.int64)
    drift = _OPEN_TO_CLOSE * (uniform(keys, 0, 6) - 0.4) * np.linspace(0, 1, len(near))[:, None]
    opened = np.maximum(np.rint(interest * (0.3 - np.log(uniform(keys, 0, 7))) * (1 + drift)), 1).astype(np.int64)
    names = pl.DataFrame(
        {
            "underlying": [each.underlying for each in contracts],
            "expiry": [each.expiry for each in contracts],
            "strike": [each.strike for each in contracts],
            "type": [each.type.value for each in contracts],
        },
        schema={"underlying": pl.String, "expiry": pl.Date, "strike": PRICE, "type": pl.String},
    )
    frame = _prices(last, starts, names).with_columns(
        pl.Series("volume", (traded * units).T.ravel()), pl.Series("oi", (opened * units).T.ravel())
    )
    prices = [(pl.col(name).cast(PRICE) * pl.lit(index.chain.tick)).cast(PRICE) for name in _OHLC]
    return frame.with_columns(prices).select(SCHEMA.names())


_OHLC: Final = ("open", "high", "low", "close")


def _prices(last: Ints, starts: list[datetime], names: pl.DataFrame) -> pl.DataFrame:
    """Bars of whole numbers, contract by contract; ``last`` has a row a look and a column a contract."""
    minutes = len(starts)
    inside = np.stack([last[n : n + minutes * _LOOKS : _LOOKS] for n in range(_LOOKS)] + [last[_LOOKS::_LOOKS]])
    columns = {
        "open": inside[0],
        "high": inside.max(axis=0),
        "low": inside.min(axis=0),
        "close": inside[-1],
    }
    start = pl.Series("start", starts, dtype=pl.Datetime("us", "UTC"))
    return names.join(start.to_frame(), how="cross", maintain_order="left_right").with_columns(
        pl.Series(name, values.T.ravel()) for name, values in columns.items()
    )


def _spot_bars(name: str, values: NDArray[np.float64], starts: list[datetime]) -> pl.DataFrame:
    """Bars of an index, in paise."""
    paise = np.rint(values * 100).astype(np.int64)[:, None]
    names = pl.DataFrame(
        {"underlying": [name], "expiry": [None], "strike": [None], "type": [INDEX]},
        schema={"underlying": pl.String, "expiry": pl.Date, "strike": PRICE, "type": pl.String},
    )
    frame = _prices(paise, starts, names).with_columns(volume=pl.lit(None, pl.Int64), oi=pl.lit(None, pl.Int64))
    return frame.with_columns((pl.col(column).cast(PRICE) / 100).cast(PRICE) for column in _OHLC).select(SCHEMA.names())
