"""The live stream with 200 clients: from a commit that fills something to the client, and what they cost the engine.

First the stream alone: 1,000 fills, 100 a second, of 200 users with eight open positions each, committed with fsync;
every client hears of its own user, and what is open is valued every three seconds. Beside it the limit: a bare
WebSocket that sends the stored run at once. Then 8,000 orders at one minute without clients and with them, in turns.
The clients are a process of their own; clocks of both are the machine's monotonic one.
"""

import asyncio
import contextlib
import math
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks._burst import BOUNDARY, DAY, RATE, Seen, Size, condor, run, still_market
from benchmarks._listeners import Audience, listening
from option_baskets.adapters.clock import RealClock, run_real
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.simulated import SimulatedFeed
from option_baskets.domain.basket import Basket
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.ids import Action, intent_id, run_id
from option_baskets.domain.order import Fill, Intent, Order, OrderState
from option_baskets.domain.run import LegPosition, Run, RunStatus, with_fills
from option_baskets.domain.session import Session, session_on
from option_baskets.ports import Clock
from option_baskets.wiring import Embedded, spare_the_collector

CLIENTS = 200
FILLS = 1_000
A_SECOND = 100
BURST = Size(users=500, accounts=2, strategies=2)
TURNS = 2
GOAL = 0.020
LOT = 65
USERS = tuple(f"user-{number:04d}" for number in range(CLIENTS))


@dataclass(slots=True, kw_only=True)
class Told:
    """Seconds from a commit to a client, ascending."""

    delays: list[float]

    def at(self, share: float) -> float:
        return self.delays[max(0, math.ceil(len(self.delays) * share) - 1)]


async def fills(folder: Path, *, bare: bool) -> Told:
    """The stream alone."""
    facts = load()
    session = session_on(facts, DAY)
    assert session is not None
    clock = RealClock(1.0, BOUNDARY + timedelta(minutes=1))
    market = replace(still_market(facts), feed=SimulatedFeed(facts, seed=7))
    machine = Embedded(data=folder, market=market, clock=clock, facts=facts, rate=RATE)
    runs = await _runs(machine)
    spare_the_collector()
    try:
        async with listening(machine, clock, session, USERS, bare=bare) as audience:
            await asyncio.sleep(1.0)
            audience.commits.clear()
            began = time.monotonic()
            for number in range(FILLS):
                user = USERS[number * 7 % CLIENTS]
                runs[user] = await _fill(machine, runs[user], number)
                await asyncio.sleep(began + (number + 1) / A_SECOND - time.monotonic())
    finally:
        await machine.close()
    return Told(delays=sorted(audience.delays()))


async def _runs(machine: Embedded) -> dict[str, Run]:
    """A condor on two accounts, entered, of every user."""
    snapshot = await machine.feed.snapshot(BOUNDARY)
    expiry = snapshot.expiries("NIFTY")[0]
    strikes = snapshot.strikes("NIFTY", expiry)
    middle = len(strikes) // 2
    plan = condor(0)
    found = {}
    for user in USERS:
        positions = tuple(
            LegPosition(
                leg=leg.id,
                account=account,
                entry_number=0,
                contract=Contract(
                    underlying="NIFTY",
                    expiry=expiry,
                    type=leg.type,
                    strike=strikes[middle + (place + 1) * (1 if leg.type is ContractType.CE else -1)],
                ),
                side=leg.side,
                lots=1_000,
                lot_size=LOT,
                freeze_quantity=None,
                tick=Decimal("0.05"),
                entered=LOT,
                entered_value=Decimal("61.05") * LOT,
                entry_time=BOUNDARY,
            )
            for account in ("account-0", "account-1")
            for place, leg in enumerate(plan.legs)
        )
        made = Run(
            id=run_id(DAY, plan.id, 0),
            user_id=user,
            date=DAY,
            cycle=0,
            basket=Basket(id="b", name="Burst", capital=Decimal(1_000_000)),
            strategy=plan,
            allocations=(),
            entry_at=BOUNDARY,
            exit_at=BOUNDARY + timedelta(hours=5),
            status=RunStatus.ENTERING,
            positions=positions,
        )
        found[user] = await machine.books.save_run(made)
    return found


async def _fill(machine: Embedded, run_: Run, number: int) -> Run:
    """An order, its fill and the position, in one commit, as the desk writes them."""
    position = run_.positions[number % len(run_.positions)]
    now = machine.clock.now()
    intent = Intent(
        id=intent_id(
            user_id=run_.user_id,
            run=run_.id,
            leg=position.leg,
            account=position.account,
            entry_number=0,
            action=Action.ENTER,
            attempt=number,
        ),
        user_id=run_.user_id,
        run_id=run_.id,
        strategy_id=run_.strategy.id,
        leg=position.leg,
        account=position.account,
        entry_number=0,
        action=Action.ENTER,
        attempt=number,
        slice_number=0,
        contract=position.contract,
        side=position.side,
        quantity=LOT,
        limit=Decimal("61.05"),
        decided_at=now,
    )
    fill = Fill(intent_id=intent.id, quantity=LOT, value=intent.limit * LOT, at=now, number=0)
    order = Order(intent=intent, state=OrderState.FILLED, filled=LOT, value=fill.value, updated_at=now)
    ordered, _ = machine.books.put_order(replace(order, limit=intent.limit))
    after = with_fills(run_, [(intent, fill)])
    return await machine.books.save_run(after, ordered, machine.books.put_fill(intent, fill))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A burst, and who heard of it."""

    seen: Seen
    audience: Audience


def burst(clients: int) -> Turn:
    """8,000 orders at one minute, the first users listened to by a client each."""
    heard: list[Audience] = []

    @contextlib.asynccontextmanager
    async def beside(machine: Embedded, clock: Clock, session: Session) -> AsyncIterator[None]:
        async with listening(machine, clock, session, USERS[:clients]) as audience:
            heard.append(audience)
            yield

    with tempfile.TemporaryDirectory(prefix="baskets-burst-") as folder:
        seen = run(Path(folder), BURST, beside=beside)
    return Turn(seen=seen, audience=heard[-1])


def main() -> None:
    console = Console()
    told = {}
    for bare in (True, False):
        with tempfile.TemporaryDirectory(prefix="baskets-stream-") as folder:
            told[bare] = run_real(fills(Path(folder), bare=bare))
    console.print(_alone(told[False], told[True]))
    turns: dict[int, list[Turn]] = {0: [], CLIENTS: []}
    for _ in range(TURNS):
        for clients, found in turns.items():
            found.append(burst(clients))
    console.print(_beside(turns))
    if told[False].at(0.99) > GOAL:
        console.print(f"The goal of {GOAL * 1000:.0f} ms is not reached here (load {os.getloadavg()[0]:.1f} now).")


def _alone(ours: Told, limit: Told) -> Table:
    table = Table(title=f"From a commit with a fill to the client: {CLIENTS} clients, {A_SECOND} fills a second")
    for column in ("", "ours", "bare WebSocket", "goal"):
        table.add_column(column, justify="right")
    for name, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("slowest", 1.0)):
        goal = f"{GOAL * 1000:.0f} ms" if share == 0.99 else ""
        table.add_row(name, _milliseconds(ours.at(share)), _milliseconds(limit.at(share)), goal)
    table.add_row("updates", f"{len(ours.delays):,}", f"{len(limit.delays):,}", "")
    return table


def _beside(turns: dict[int, list[Turn]]) -> Table:
    table = Table(title=f"{BURST.orders:,} orders at one minute, best of {TURNS} turns")
    table.add_column("")
    for clients in turns:
        table.add_column(f"{clients} clients", justify="right")

    def row(name: str, values: Sequence[str]) -> None:
        table.add_row(name, *values)

    row("all journaled as accepted", [f"{min(t.seen.seconds for t in each):,.3f} s" for each in turns.values()])
    row("CPU: event loop thread", [f"{min(t.seen.main_cpu for t in each):,.3f} s" for each in turns.values()])
    late = [sorted(delay for turn in each for delay in turn.audience.delays()) for each in turns.values()]
    row("a position at its client: median", [_milliseconds(statistics.median(d)) if d else "" for d in late])
    row("the slowest", [_milliseconds(d[-1]) if d else "" for d in late])
    heard = [[client for turn in each for client in turn.audience.heard] for each in turns.values()]
    row("messages told", [f"{sum(client.messages for client in each) // TURNS:,}" for each in heard])
    row("in frames", [f"{sum(client.frames for client in each) // TURNS:,}" for each in heard])
    row("gaps, connections lost", [f"{sum(c.gaps + (c.closed is not None) for c in each)}" for each in heard])
    return table


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


if __name__ == "__main__":
    main()
