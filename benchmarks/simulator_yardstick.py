"""The simulated market beside recorded days: ``python -m benchmarks.simulator_yardstick [--days N] [--seeds N]``.

Both sides go through the same functions: minute closes of the index, and chains of last prices at a few minutes of
each day. Without the recorded data the simulated column is printed alone.
"""

import argparse
import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from option_baskets.adapters import facts
from option_baskets.adapters.feeds.simulated import Scenario, SimulatedFeed, SimulatedSnapshot
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.session import session_on
from option_baskets.pricing import black76

Floats = NDArray[np.float64]

MINUTES = 375
_TUESDAY = 1
LOOKS = (5, 120, 240, 300, 345)
"""Minutes after 09:15 at which a chain is read: 09:20, 11:15, 13:15, 14:15, 15:00."""
SHARED = Path(os.environ.get("OPTION_BASKETS_SHARED", Path(__file__).parent.parent.parent / "shared"))


@dataclass
class Figures:
    """Samples by name; every sample is one day's, or one look's at a chain."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, value: float) -> None:
        if np.isfinite(value):
            self.samples[name].append(float(value))

    def quantile(self, name: str, q: float) -> float:
        return float(np.quantile(self.samples[name], q))


# ---------------------------------------------------------------- what is measured


def measure_index(figures: Figures, closes: Floats, previous_close: float | None) -> None:
    """``closes``: the first price and then every minute's close, 376 prices."""
    returns = np.diff(np.log(closes))
    figures.add("realised volatility, % a year", float(np.sqrt((returns**2).sum() * 252) * 100))
    figures.add("day's range, %", float(closes.max() / closes.min() - 1) * 100)
    spread = returns / np.sqrt((returns**2).mean())
    figures.add("excess kurtosis of minute returns", float((spread**4).mean()) - 3)
    for n in range(0, MINUTES // 30 + 1, 2):
        bucket = spread[n * 30 : (n + 1) * 30]
        start = datetime(2000, 1, 1, 9, 15) + timedelta(minutes=30 * n)  # noqa: DTZ001 - only its time is shown
        figures.add(f"volatility from {start:%H:%M}, of the day's", float(np.sqrt((bucket**2).mean())))
    if previous_close is not None:
        figures.add("overnight gap, %, absolute", abs(float(np.log(closes[0] / previous_close))) * 100)


@dataclass(frozen=True)
class Chain:
    """Last prices of one expiry at one minute."""

    strikes: Floats
    calls: Floats
    puts: Floats
    spot: float


def straddle(chain: Chain) -> tuple[float, float]:
    """(price of the straddle nearest the forward, in % of spot; the forward from put-call parity)."""
    near = np.abs(chain.strikes - chain.spot) <= 0.012 * chain.spot
    forward = float(np.median((chain.strikes + chain.calls - chain.puts)[near]))
    at = int(np.argmin(np.abs(chain.strikes - forward)))
    return float(chain.calls[at] + chain.puts[at]) / chain.spot * 100, forward


def smile(chain: Chain, forward: float) -> tuple[float, float]:
    """Slope and curvature: implied over at-the-money deviation as a parabola in standardised moneyness within 2."""
    prices = np.where(chain.strikes < forward, chain.puts, chain.calls)
    seen = prices > 1.0
    strikes, prices = chain.strikes[seen], prices[seen]
    low, high = np.full_like(prices, 1e-6), np.full_like(prices, 1.0)
    for _ in range(50):
        middle = (low + high) / 2
        dearer = black76.price_of(forward, strikes, middle, strikes >= forward) > prices
        low, high = np.where(dearer, low, middle), np.where(dearer, middle, high)
    x = np.log(strikes / forward)
    money = float(np.interp(0.0, x, low))
    inside = np.abs(x) < 2 * money
    if inside.sum() < 6:
        return np.nan, np.nan
    curvature, slope, _ = np.polyfit(x[inside] / money, low[inside] / money, 2)
    return float(slope), float(curvature)


def measure_chains(figures: Figures, dte: int, chains: Iterable[tuple[int, Chain]]) -> None:
    first = None
    for minute, chain in chains:
        price, forward = straddle(chain)
        slope, curvature = smile(chain, forward)
        if minute == LOOKS[1]:
            figures.add(f"straddle at 11:15, {dte} days to expiry, % of spot", price)
        if minute == LOOKS[0]:
            figures.add(f"straddle at 09:20, {dte} days to expiry, % of spot", price)
            first = price
        elif first is not None and dte == 0:
            clock = datetime(2000, 1, 1, 9, 15) + timedelta(minutes=minute)  # noqa: DTZ001 - only its time is shown
            figures.add(f"expiry-day straddle at {clock:%H:%M}, of 09:20", price / first)
        if dte == 0 and minute >= LOOKS[2]:
            clock = datetime(2000, 1, 1, 9, 15) + timedelta(minutes=minute)  # noqa: DTZ001 - only its time is shown
            call = np.interp(1.02 * forward, chain.strikes, chain.calls)
            put = np.interp(0.98 * forward, chain.strikes, chain.puts)
            figures.add(
                f"expiry-day option 2 % out of the money at {clock:%H:%M}, per 100,000 of spot",
                float(call + put) / 2 / chain.spot * 1e5,
            )
        if minute <= LOOKS[2]:
            figures.add("smile slope", slope)
            figures.add("smile curvature", curvature)


BANDS = ((1, 5), (5, 20), (20, 60), (60, 120), (120, 250), (250, 500))
"""Rupees: prices whose spreads are compared."""


def measure_book(figures: Figures, expiry: str, bid: float, ask: float, lots: float) -> None:
    """The touch of one option of the nearest or the second expiry."""
    for low, high in BANDS:
        if bid > 0 and low <= (bid + ask) / 2 < high:
            figures.add(f"spread at 09:26, {expiry} expiry, price {low:3} to {high:3}, rupees", ask - bid)
            if expiry == "first":
                figures.add(f"lots bid at 09:26, {expiry} expiry, price {low:3} to {high:3}", lots)


# ---------------------------------------------------------------- recorded days


def recorded(shared: Path) -> Figures:
    figures = Figures()
    intraday = shared / "data" / "intraday"
    previous = None
    frame = pl.read_parquet(intraday / "nifty_index_1min_2024-01-01_2024-08-23.parquet").sort("ts")
    for _, day in frame.group_by(pl.col("ts").dt.date(), maintain_order=True):
        if day.height == MINUTES:
            closes = np.concatenate([day["open"].to_numpy()[:1], day["close"].to_numpy()])
            measure_index(figures, closes, previous)
            previous = float(closes[-1])
    index = pl.read_csv(intraday / "nifty_1min_index_vix_2022-06-08_2022-07-13.csv.gz", infer_schema_length=None).sort(
        "epoch"
    )
    spots = dict(index.select("epoch", "nifty_close").drop_nulls().iter_rows())
    for _, day in index.drop_nulls("nifty_close").group_by("date", maintain_order=True):
        closes = day["nifty_close"].to_numpy()[:MINUTES]
        if len(closes) == MINUTES:
            measure_index(figures, np.concatenate([closes[:1], closes]), None)
    options = pl.read_parquet(intraday / "nifty_1min_option_close_2022-06-08_2022-07-13.parquet")
    for _, day in options.group_by("date", maintain_order=True):
        dte = (date.fromisoformat(day["expiry_inferred"][0]) - date.fromisoformat(day["date"][0])).days
        measure_chains(figures, dte, _recorded_chains(day, spots))
    snapshots = pl.read_parquet(intraday / "nse_index_chain_5min_2026.parquet").filter(
        (pl.col("Symbol") == "NIFTY") & (pl.col("Spot") > 0)
    )
    snapshots = snapshots.with_columns(pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S"))
    for (day_of,), day in snapshots.group_by(pl.col("timestamp").dt.date(), maintain_order=True):
        assert isinstance(day_of, date)
        expiry = date.fromisoformat(day["Expiry"][0])
        measure_chains(figures, (expiry - day_of).days, _snapshot_chains(day, day_of))
    _measure_recorded_book(figures, shared / "data" / "chain_json" / "quote-derivative_NIFTY_2023-01-10.json.gz")
    return figures


def _measure_recorded_book(figures: Figures, path: Path) -> None:
    rows = json.loads(gzip.decompress(path.read_bytes()))["stocks"]
    for expiry, name in (("12-Jan-2023", "first"), ("19-Jan-2023", "second")):
        for row in rows:
            about, book = row["metadata"], row["marketDeptOrderBook"]
            if about["expiryDate"] == expiry and about["instrumentType"] == "Index Options":
                bid, ask = book["bid"][0], book["ask"][0]
                if ask["price"] > 0:
                    lots = bid["quantity"] / book["tradeInfo"]["marketLot"]
                    measure_book(figures, name, bid["price"], ask["price"], lots)


def _snapshot_chains(day: pl.DataFrame, day_of: date) -> Iterator[tuple[int, Chain]]:
    """The first snapshot at or up to ten minutes after each look; 0 means that nothing was traded yet."""
    for minute in LOOKS:
        clock = datetime(day_of.year, day_of.month, day_of.day, 9, 15) + timedelta(minutes=minute)  # noqa: DTZ001
        seen = day.filter(pl.col("timestamp").is_between(clock, clock + timedelta(minutes=10)))
        seen = seen.filter(pl.col("timestamp") == pl.col("timestamp").min()).sort("Strike")
        seen = seen.filter((pl.col("CE_LTP") > 0) & (pl.col("PE_LTP") > 0))
        if seen.height:
            strikes, calls, puts = (seen[name].to_numpy() for name in ("Strike", "CE_LTP", "PE_LTP"))
            yield minute, Chain(strikes, calls, puts, float(seen["Spot"][0]))


def _recorded_chains(day: pl.DataFrame, spots: Mapping[int, float]) -> Iterator[tuple[int, Chain]]:
    """A bar's close is known at its end, so the look at minute m reads the bar that starts at m - 1."""
    opening = int(day["epoch"].min())  # type: ignore[arg-type]
    for minute in LOOKS:
        epoch = opening + 60 * (minute - 1)
        pairs = (
            day.filter(pl.col("epoch") == epoch)
            .pivot("option_type", index="strike", values="close")
            .drop_nulls()
            .sort("strike")
        )
        if epoch in spots and pairs.height:
            strikes, calls, puts = (pairs[name].to_numpy().astype(np.float64) for name in ("strike", "CE", "PE"))
            yield minute, Chain(strikes, calls, puts, spots[epoch])


# ---------------------------------------------------------------- simulated days


def simulated(days: Sequence[date], seeds: Iterable[int], scenario: Scenario | None = None) -> Figures:
    """The same figures of the simulated NIFTY."""
    figures = Figures()
    for seed in seeds:
        feed = SimulatedFeed(facts.load(), seed=seed, scenario=scenario)
        for day in days:
            market = feed.market(day)
            index = market.indices["NIFTY"]
            measure_index(figures, index.spot[: MINUTES * 60 + 1 : 60], index.previous_close)
            expiry = feed.known(market.session.open).expiries("NIFTY")[0]
            measure_chains(figures, (expiry - day).days, _simulated_chains(feed, day, expiry))
            if day.weekday() == _TUESDAY:
                _measure_simulated_book(figures, feed.known(market.session.open + timedelta(minutes=11)))
    return figures


def _measure_simulated_book(figures: Figures, snapshot: SimulatedSnapshot) -> None:
    """On Tuesdays, as the recorded book is one."""
    names = dict(zip(snapshot.expiries("NIFTY"), ("first", "second"), strict=False))
    for contract in snapshot.contracts():
        quote, listing = snapshot.quote(contract), snapshot.listing(contract)
        if contract.expiry in names and contract.type.is_option and quote and listing and quote.ask:
            lots = (quote.bid_quantity or 0) / listing.lot_size
            measure_book(figures, names[contract.expiry], float(quote.bid or 0), float(quote.ask), lots)


def _simulated_chains(feed: SimulatedFeed, day: date, expiry: date) -> Iterator[tuple[int, Chain]]:
    opening = feed.market(day).session.open
    for minute in LOOKS:
        snapshot = feed.known(opening + timedelta(minutes=minute))
        strikes = snapshot.strikes("NIFTY", expiry)
        spot = snapshot.spot("NIFTY")
        assert spot is not None
        calls, puts = (
            np.array(
                [float(quote.last) for strike in strikes if (quote := snapshot.quote(_option(expiry, type_, strike)))]
            )
            for type_ in (ContractType.CE, ContractType.PE)
        )
        yield minute, Chain(np.array([float(strike) for strike in strikes]), calls, puts, float(spot.last))


def _option(expiry: date, type_: ContractType, strike: object) -> Contract:
    return Contract(underlying="NIFTY", expiry=expiry, type=type_, strike=strike)  # type: ignore[arg-type]


def sessions(count: int, first: date = date(2024, 1, 2)) -> list[date]:
    """Ordinary NIFTY sessions; those of 2024 have the Thursday expiries of the recorded days."""
    known = facts.load()
    days = (first + timedelta(days=n) for n in range(count * 2 + 20))
    ordinary = (day for day in days if (session := session_on(known, day)) is not None and not session.is_special)
    return [day for day, _ in zip(ordinary, range(count), strict=False)]


# ---------------------------------------------------------------- the table


def table(real: Figures | None, sim: Figures) -> str:
    """Markdown: 5 %, median and 95 % of each figure; of fewer than 20 samples the least and the greatest."""
    lines = [
        "| figure | recorded: low, median, high (n) | simulated: low, median, high (n) |",
        "| --- | --- | --- |",
    ]
    for name in sorted(sim.samples):
        if real is None or name in real.samples:
            lines.append(f"| {name} | {_cell(real, name)} | {_cell(sim, name)} |")
    return "\n".join(lines)


def _cell(figures: Figures | None, name: str) -> str:
    if figures is None:
        return ""
    few = len(figures.samples[name]) < 20
    low, middle, high = (figures.quantile(name, q) for q in ((0.0, 0.5, 1.0) if few else (0.05, 0.5, 0.95)))
    return f"{low:.2f}, **{middle:.2f}**, {high:.2f} ({len(figures.samples[name])})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--volatility", type=float, help="percent a year; left out: the calibrated one")
    chosen = parser.parse_args()
    real = recorded(chosen.shared) if (chosen.shared / "data").is_dir() else None
    started = time.process_time()
    scenario = Scenario(volatility=None if chosen.volatility is None else chosen.volatility / 100)
    sim = simulated(sessions(chosen.days), range(chosen.seeds), scenario)
    spent = (time.process_time() - started) / (chosen.days * chosen.seeds)
    print(table(real, sim))
    print(
        f"\n{chosen.days} sessions of 2024, {chosen.seeds} seeds: {spent * 1000:.0f} ms of CPU a day, with measuring it"
    )


if __name__ == "__main__":
    main()
