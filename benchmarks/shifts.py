"""What a user's day costs where every wake-up is a shift: units of DynamoDB, requests, invocations, CPU, by function.

Days of one user with iron condors are played by shifts (``tests/engine/shifts.py``) over SQLite behind a meter. What
grows with strategies, with minutes held and with both is solved from four days and held against a fifth. CPU of the
AWS client is measured by requests to ministack. ``python -m benchmarks.shifts write`` writes what
``python -m infra.cost`` and ``python -m benchmarks scale`` go by.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from datetime import time as moment
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.contract.engines import missing, opened, started
from tests.engine.shifts import SHARDS, Contested, Shop
from tests.engine.tiny_day import DAY, FACTS, Prices, call, instant, put, record, steady

from benchmarks._meter import WHO, Meter, Work, time_tasks
from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.inbox_queue import InboxQueue
from option_baskets.domain.events import Event, EventType
from option_baskets.domain.session import IST, session_on
from option_baskets.engine.dispatch import sweep
from option_baskets.engine.emitter import Emitter
from option_baskets.engine.messages import COMPARE, ENTER_RUN
from option_baskets.engine.turn import Turns
from option_baskets.lambdas.dispatching import LATE
from option_baskets.ports import Item, Message, Put, TableName
from option_baskets.store.books import Books
from option_baskets.store.leases import Leases
from option_baskets.wiring import LOCAL_USER

COUNTS = Path(__file__).parents[1] / "infra" / "cost" / "counts.json"
ENTRY = datetime(2026, 11, 24, 9, 20, tzinfo=IST)
HOURS = "09:15-10:00"
PLAIN_DAY = date(2026, 11, 23)
"""A day with a session as ever, for the timer."""
PRICES: Prices = {
    "NIFTY": steady("26010", end="10:00"),
    call(): steady("100", end="10:00"),
    put(): steady("80", end="10:00"),
    call(26100): steady("40", end="10:00"),
    put(25900): steady("30", end="10:00"),
}
FUNCTION_OF = {
    EventType.REFRESH_MARKET_DATA: "quotes",
    EventType.CHECK_STOP_LOSS: "stops",
    EventType.CHECK_DUPLICATE_ORDERS: "duplicates",
    EventType.SCHEDULE_STRATEGY_TRIGGER: "schedule",
}
QUANTITIES = ("reads", "writes", "requests", "cpu", "waited", "invocations", "records")
CORNERS = ((1, 10), (1, 20), (3, 10), (3, 20))
CHECKED = (2, 15)
TURNS_OF_CPU = 3
"""A day is played so often more for its CPU; the least counts."""
Terms = tuple[float, float, float, float]
"""(fixed, a strategy, a minute held, a strategy and minute): of a user's day."""


class MeteredShop(Shop):
    """A shop whose table counts for the function that asks it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.work: defaultdict[str, Work] = defaultdict(Work)
        self.meter = Meter(self.durable, self.work)
        self.durable = self.meter  # type: ignore[assignment]
        self.table = Contested(self.meter, self.conflicts_every)  # type: ignore[arg-type]
        self.books = Books(self.table, shards=SHARDS)
        self.queue = InboxQueue(self.table, self.clock, shards=SHARDS, wake=self._wake)
        self.inbox = self.queue.inbox
        self.leases = Leases(self.table, self.clock)
        self.sent: defaultdict[str, int] = defaultdict(int)
        """Wake-ups by the function that sends them and the queue."""

    async def _wake(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.sent[f"{WHO.get()} {queue_of(message)}"] += 1
        await super()._wake(messages)

    async def _brought(self, message: Message) -> None:
        WHO.set(queue_of(message))
        await super()._brought(message)

    async def _worked(self, message: Message) -> bool:
        began = self.clock.now()
        try:
            return await super()._worked(message)
        finally:
            mine = self.work[queue_of(message)]
            mine.invocations += 1
            mine.waited += (self.clock.now() - began).total_seconds()

    async def _handled(self, event: Event) -> None:
        WHO.set(FUNCTION_OF[event.type])
        self.work[FUNCTION_OF[event.type]].invocations += 1
        await super()._handled(event)
        if event.type is EventType.CHECK_STOP_LOSS:
            await sweep(self.queue, self.inbox, event.at - LATE, range(SHARDS))


def queue_of(message: Message) -> str:
    """As ``cloud.py`` divides them; the worker of a queue has its name."""
    return "entries" if message.kind in {ENTER_RUN, COMPARE} else "exits"


def basket(strategies: int, minutes: int) -> str:
    """So many iron condors on one account, all of one entry minute, held so many minutes."""
    out = f"{ENTRY + timedelta(minutes=minutes):%H:%M}"
    legs = "".join(
        f'  [[strategies.legs]]\n  id = "{name}"\n  side = "{side}"\n  type = "{type_}"\n  strike = {strike}\n{stop}'
        for name, side, type_, strike, stop in (
            ("c", "SELL", "CE", '{ rule = "atm" }', "  stop = { percent = 50 }\n"),
            ("p", "SELL", "PE", '{ rule = "atm" }', "  stop = { percent = 50 }\n"),
            ("cw", "BUY", "CE", '{ rule = "of_leg", leg = "c", points = 100 }', ""),
            ("pw", "BUY", "PE", '{ rule = "of_leg", leg = "p", points = 100 }', ""),
        )
    )
    text = 'format = 1\n[basket]\nname = "Condors"\ncapital = 5000000\nmode = "paper"\n[[accounts]]\nid = "one"\n'
    for number in range(strategies):
        text += f'[[strategies]]\nname = "s{number}"\nunderlying = "NIFTY"\nentry = "09:20"\nexit = "{out}"\n{legs}'
        text += '  [[strategies.allocations]]\n  account = "one"\n  lots = 1\n'
    return text


def play(folder: Path, strategies: int, minutes: int) -> MeteredShop:
    """A day of one user from 09:15 to 10:00; the shop as it is after it."""
    folder.mkdir(parents=True)
    days = record(folder / "days", PRICES, hours=HOURS)
    shops: list[MeteredShop] = []

    async def main(clock: SimulatedClock) -> None:
        shop = MeteredShop(data=folder, days=days, clock=clock)
        shops.append(shop)
        try:
            if strategies:
                file = parse_basket(basket(strategies, minutes), FACTS.names)
                for account in file.accounts:
                    await shop.books.save_account(LOCAL_USER, account)
                await shop.books.save_basket(LOCAL_USER, file.basket)
                for strategy in file.strategies:
                    await shop.books.save_strategy(LOCAL_USER, strategy)
                for allocation in file.allocations:
                    await shop.books.save_allocation(LOCAL_USER, allocation)
            shop.work.clear()
            time_tasks(asyncio.get_running_loop(), shop.work)
            WHO.set("timer")
            await asyncio.create_task(shop.play())
            runs = await shop.books.runs_on(LOCAL_USER, DAY)
            assert len(runs) == strategies and all(run.status.is_over for run in runs)
            assert not shop.failures
        finally:
            await shop.close()

    run_simulated(main, instant("09:00"))
    return shops[0]


def terms(plays: dict[tuple[int, int], float]) -> Terms:
    """Of what is linear in strategies, in minutes and in their product."""
    (k, m), (_, m2), (k2, _), _ = CORNERS
    a, b, c, d = (plays[corner] for corner in CORNERS)
    both = (d - c - b + a) / ((k2 - k) * (m2 - m))
    minute = (b - a) / (m2 - m) - both * k
    strategy = (c - a) / (k2 - k) - both * m
    return (a - strategy * k - minute * m - both * k * m, strategy, minute, both)


def at(found: Sequence[float], strategies: float, minutes: float) -> float:
    fixed, strategy, minute, both = found
    return fixed + strategy * strategies + minute * minutes + both * strategies * minutes


# ---------------------------------------------------------------- a day's timer, and the AWS client


class _Heard:
    """A bus that counts."""

    def __init__(self) -> None:
        self.events = 0

    async def publish(self, events: Sequence[Event]) -> None:
        self.events += len(events)

    def subscribe(self, *_: object) -> None:
        raise NotImplementedError


def timer_day(folder: Path) -> dict[str, float]:
    """A whole day's turns, with nobody's strategies: turns, events on the bus, units, requests, seconds waited, CPU."""

    async def main(clock: SimulatedClock) -> dict[str, float]:
        shop = MeteredShop(data=folder, days=record(folder / "days", PRICES, hours=HOURS), clock=clock)
        try:
            session = session_on(FACTS, PLAIN_DAY)
            assert session is not None
            heard = _Heard()

            async def nothing(_: datetime) -> None:
                return

            turns = Turns(
                session=session,
                cadence=shop.cadence,
                clock=clock,
                emitter=Emitter(heard, shop.books, shop.cadence, session),
                morning=nothing,
                evening=nothing,
            )
            shop.work.clear()
            time_tasks(asyncio.get_running_loop(), shop.work)
            WHO.set("timer")

            async def all_day() -> int:
                count, following = 0, await turns.first()
                while not following.done:
                    await clock.sleep_until(following.wake)
                    following = await turns.turn()
                    count += 1
                return count

            count = await asyncio.create_task(all_day())
            work = shop.work["timer"]
            return {
                "turns": count,
                "events": heard.events,
                "reads": work.reads,
                "writes": work.writes,
                "requests": work.requests,
                "cpu": work.cpu,
                "records": work.records,
            }
        finally:
            await shop.close()

    folder.mkdir(parents=True)
    return run_simulated(main, datetime.combine(PLAIN_DAY, moment(9), IST))


def client_cpu(folder: Path) -> dict[str, float]:
    """CPU seconds in this process of a get, of a commit of three items and of one of fifty messages."""

    async def main() -> dict[str, float]:
        table = await opened(engine, folder, lambda: datetime(2026, 11, 24, tzinfo=UTC))
        try:

            async def get(number: int) -> None:
                await table.get(TableName.HISTORY, f"u{number}", "0")

            async def commit(number: int, items: int = 3, size: int = 900) -> None:
                body = b"x" * size
                some = [Item(pk=f"u{number}", sk=str(each), body=body) for each in range(items)]
                await table.commit([Put(table=TableName.HISTORY, item=item) for item in some])

            async def messages(number: int) -> None:
                await commit(number, 50, 150)

            return {
                "commit": await _cpu(commit, 50),
                "commit of 50": await _cpu(messages, 10),
                "get": await _cpu(get, 50),
            }
        finally:
            await table.close()

    with started(folder) as engine:
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        return asyncio.run(main())


async def _cpu(work: Callable[[int], Awaitable[None]], times: int) -> float:
    """The median of five turns, after one for the connection."""
    turns = []
    for _ in range(6):
        before = time.process_time()
        for number in range(times):
            await work(number)
        turns.append((time.process_time() - before) / times)
    return statistics.median(turns[1:])


# ---------------------------------------------------------------- all of it


def measured() -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baskets-shifts-")))
        play(folder / "warm", 1, 10)  # imports and caches are nobody's
        plays = {(k, m): play(folder / f"{k}-{m}", k, m) for k, m in (*CORNERS, CHECKED)}
        again = [{(k, m): play(folder / f"{k}-{m}-{turn}", k, m) for k, m in CORNERS} for turn in range(TURNS_OF_CPU)]
        nobody = play(folder / "nobody", 0, 0)
        timer = timer_day(folder / "timer")
        engine = folder / "engine"
        engine.mkdir()
        client = {} if missing() else client_cpu(engine)
    functions: dict[str, Any] = {}
    places = sorted({key for shop in plays.values() for work in shop.work.values() for key in work.by_table})
    for name in sorted({name for shop in plays.values() for name in shop.work} - {"nobody"}):
        functions[name] = {
            quantity: terms({key: getattr(shop.work[name], quantity) for key, shop in plays.items()})
            for quantity in QUANTITIES
        }
        functions[name]["cpu"] = terms(
            {key: min(turn[key].work[name].cpu for turn in (plays, *again)) for key in CORNERS}
        )
        functions[name]["of nobody"] = {
            quantity: getattr(nobody.work[name], quantity)
            for quantity in ("reads", "writes", "requests", "invocations")
        }
        functions[name]["writes by place"] = {
            place: terms({key: shop.work[name].by_table[place] for key, shop in plays.items()}) for place in places
        }
    sends = sorted({key for shop in plays.values() for key in shop.sent})
    return {
        "shards": SHARDS,
        "functions": functions,
        "sent": {key: terms({each: shop.sent[key] for each, shop in plays.items()}) for key in sends},
        "kept bytes": {
            str(table): terms({each: shop.meter.size(table) for each, shop in plays.items()}) for table in TableName
        },
        "shifts": terms({each: shop.begun for each, shop in plays.items()}),
        "timer": timer,
        "client cpu": client,
        "farthest from a fifth day": farthest(functions, plays[CHECKED]),
    }


def farthest(functions: dict[str, Any], shop: MeteredShop) -> float:
    """The largest part by which units, requests and invocations of the fifth day differ from what is solved."""
    parts: Iterable[float] = (
        abs(at(found[quantity], *CHECKED) - counted) / counted
        for name, found in functions.items()
        for quantity in ("reads", "writes", "requests", "invocations")
        if (counted := getattr(shop.work[name], quantity))
    )
    return max(parts)


def main() -> None:
    found = measured()
    table = Table(title="A user's day: fixed + a strategy + a minute held + a strategy and minute")
    for column in ("function", "quantity", "fixed", "strategy", "minute", "strategy x minute"):
        table.add_column(column, justify="left" if column in {"function", "quantity"} else "right")
    for name, quantities in found["functions"].items():
        for quantity in QUANTITIES:
            values = quantities[quantity]
            digits = 4 if quantity == "cpu" else 2
            table.add_row(name, quantity, *(f"{value:,.{digits}f}" for value in values))
    console = Console()
    console.print(table)
    for key in ("sent", "kept bytes", "shifts", "timer", "client cpu", "farthest from a fifth day"):
        console.print(key, found[key])
    if "write" in sys.argv:
        COUNTS.parent.mkdir(exist_ok=True)
        COUNTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
