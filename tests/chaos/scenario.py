"""The day that is lived through: a simulated market, ten hedged strategies on three accounts, and how those behave."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from option_baskets.adapters.basket_file import load_basket_file
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.canonical import write
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.adapters.feeds.simulated import SimulatedMarket
from option_baskets.adapters.feeds.simulated.recording import record
from option_baskets.domain.session import Session, at
from option_baskets.engine.rates import Rate
from option_baskets.engine.trading import Pace
from option_baskets.wiring import Market
from tests.chaos.engine import Engine

DAY = date(2026, 11, 19)
ACCOUNTS = ("one", "two", "three")

_HEAD = """format = 1

[basket]
name = "Chaos"
capital = 5000000
"""

_CONDOR = """
[[strategies]]
name = "condor {number}"
underlying = "NIFTY"
entry = "{entry}"
exit = "{exit}"
entry_grace_seconds = 90

  [[strategies.legs]]
  id = "short-call"
  side = "SELL"
  type = "CE"
  strike = {{ rule = "atm", offset = {near} }}
  stop = {{ percent = {stop} }}

  [[strategies.legs]]
  id = "short-put"
  side = "SELL"
  type = "PE"
  strike = {{ rule = "atm", offset = {near} }}
  stop = {{ percent = {stop} }}

  [[strategies.legs]]
  id = "call-wing"
  side = "BUY"
  type = "CE"
  strike = {{ rule = "of_leg", leg = "short-call", points = 200 }}

  [[strategies.legs]]
  id = "put-wing"
  side = "BUY"
  type = "PE"
  strike = {{ rule = "of_leg", leg = "short-put", points = 200 }}
"""

_LOTS = """
  [[strategies.allocations]]
  account = "{account}"
  lots = {lots}
"""

_TIMES = (
    ("09:20", "15:10"),
    ("09:20", "11:30"),
    ("09:31", "14:45"),
    ("09:45", "10:20"),
    ("10:05", "15:20"),
    ("10:30", "13:15"),
    ("11:00", "11:25"),
    ("12:10", "15:00"),
    ("13:30", "14:30"),
    ("14:02", "15:25"),
)


def basket_text() -> str:
    """Ten condors, each on one to three of the accounts."""
    parts = [_HEAD, *(f'[[accounts]]\nid = "{account}"\n' for account in ACCOUNTS)]
    for number, (entry, exit_) in enumerate(_TIMES):
        near, stop = 1 + number % 3, (20, 35, 60)[number % 3]
        parts.append(_CONDOR.format(number=number, entry=entry, exit=exit_, near=near, stop=stop))
        for account in ACCOUNTS[: 1 + number % 3]:
            parts.append(_LOTS.format(account=account, lots=1 + (number + len(account)) % 3))
    return "".join(parts)


def behaviours(seed: int, session: Session) -> Mapping[str, Behaviour]:
    """One account that is only slow, one whose line loses things, one that also refuses, and is out for a while."""
    lossy = Behaviour(
        seed=seed,
        lost_answers=0.06,
        lost_requests=0.04,
        server_errors=0.04,
        garbled_answers=0.03,
        lost_changes=0.1,
        lost_updates=0.2,
        doubled_updates=0.2,
        late_updates=0.2,
    )
    start = at(session.date, session.open.timetz().replace(tzinfo=None)) + timedelta(hours=2)
    second = timedelta(seconds=1)
    return {
        "one": Behaviour(seed=seed, latency=0.1 * second, jitter=0.4 * second),
        "two": replace(lossy, latency=0.05 * second, jitter=2 * second, slow_book=8 * second),
        "three": replace(
            lossy,
            jitter=second,
            rejections=0.02,
            busy=0.05,
            partial_fills=0.2,
            crossed_cancels=0.2,
            outages=(Outage(start=start, lasts=40 * second),),
        ),
    }


def recorded_day(folder: Path, seed: int) -> RecordedFeed:
    """The day's minute bars, simulated and written once: every life sees one market."""
    write(record(SimulatedMarket(load(), DAY, seed=seed, underlyings=("NIFTY",))), folder)
    return RecordedFeed(folder)


def engine(feed: RecordedFeed, data: Path, *, power: str = "", durable: bool = True) -> Engine:
    """The engine with its own store below ``data``."""
    facts = load()
    file = data.with_suffix(".toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(basket_text(), encoding="utf-8")
    session = feed.session(DAY)
    return Engine(
        data=data,
        market=Market(feed=feed, fills=RecordedFills(feed), is_trading=lambda _, at: session.is_open(at)),
        facts=facts,
        session=session,
        files=[load_basket_file(file, facts.names)],
        pace=Pace(),
        rate=Rate(),
        power=power,
        durable=durable,
    )
