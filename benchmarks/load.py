"""8,000 orders at one boundary over 400 accounts, beside what the accounts' rate allows at best.

200 users, 2 accounts each, 5 iron condors on both: 20 orders an account, hedges first, 10 a calendar second of which
entries may have 7. The last six of every account therefore wait for the third second, whoever sends them. Beside ours:
that instant, and bare buckets, which grant the same tokens on the same clock and send nothing.

Then the same burst in turns with every broker prompt, with one and with ten accounts whose broker takes 2 s to answer
and tells nothing before: what these cost the orders of all the others.

Both also in simulated time, where computing and writing take none: what is left there is waiting, of an order for its
tokens or for somebody else. It is the same on every machine.
"""

import asyncio
import math
import os
import statistics
from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from benchmarks._burst import BOUNDARY, RATE, Seen, Size, Times, measure, simulate
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import RealClock, run_real
from option_baskets.engine.rates import Bucket, Urgency

SIZE = Size(users=200, accounts=2, strategies=5)
GOAL = 1.2
"""Times the least."""
TURNS = 3
SLOW = timedelta(seconds=2)
SLOW_ACCOUNTS = (0, 1, 10)
MOST_DELAY = 0.050
"""Seconds a slow account may add to the p99 of the others."""


def least() -> float:
    """Seconds from the boundary, which begins a calendar second, until the rate lets an account's last order go."""
    entries = RATE.per_second - RATE.kept_for_exits
    return float(math.ceil(SIZE.orders_an_account / entries) - 1)


async def bare_buckets() -> float:
    """The same, measured: every account's bucket asked for its tokens at the boundary, and nothing done with them."""
    clock = RealClock(1.0, BOUNDARY - timedelta(seconds=0.5))
    buckets = [Bucket(clock, RATE) for _ in range(SIZE.users * SIZE.accounts)]

    async def drain(bucket: Bucket) -> None:
        left = SIZE.orders_an_account
        while left:
            left -= await bucket.take(left, Urgency.HEDGE_ENTRY)

    await clock.sleep_until(BOUNDARY)
    await asyncio.gather(*map(drain, buckets))
    return (clock.now() - BOUNDARY).total_seconds()


def main() -> None:
    console = Console()
    bare = [run_real(bare_buckets()) for _ in range(TURNS)]
    turns: list[list[Seen]] = []
    for _ in range(TURNS):
        turns.append([measure(SIZE, slow=_slow(count)) for count in SLOW_ACCOUNTS])
    simulated = [simulate(SIZE, slow=_slow(count)) for count in SLOW_ACCOUNTS]
    prompt = [turn[0] for turn in turns]
    console.print(_figures(prompt, simulated[0], statistics.median(bare)))
    console.print(_delays("on the real clock", turns), _delays("in simulated time", [simulated]))
    console.print(
        f"Load of the machine over the last five minutes: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores."
    )


def _slow(count: int) -> dict[tuple[str, str], Behaviour]:
    """So many accounts, each another user's, with a broker that takes its time."""
    return {(f"user-{number * 7:04d}", "account-0"): Behaviour(latency=SLOW, lost_updates=1) for number in range(count)}


def _figures(turns: Sequence[Seen], simulated: Seen, bare: float) -> Table:
    table = Table(title=f"{SIZE.orders:,} orders at one boundary over {SIZE.users * SIZE.accounts} accounts")
    table.add_column(f"median of {len(turns)} turns")
    for column in ("seconds", "times the least", "goal"):
        table.add_column(column, justify="right")

    def row(name: str, seconds: float, goal: float | None = None) -> None:
        ratio = seconds / least()
        met = "" if goal is None else f"{goal}: {'reached' if ratio <= goal else 'not reached'}"
        table.add_row(name, f"{seconds:,.3f}", f"{ratio:.2f}", met)

    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    row("least: the rate's, computed", least())
    row("bare buckets, measured", bare)
    row("ours in simulated time", simulated.seconds, GOAL)
    for share, name in ((0.5, "half"), (0.99, "99 %"), (1, "all")):
        row(f"handed to the broker: {name}", median([_quantile(seen.sent, share) for seen in turns]))
    row("all answered and journaled", median([seen.seconds for seen in turns]), GOAL)
    row("of these, best turn", min(seen.seconds for seen in turns))
    row("CPU of the event loop's thread", median([seen.main_cpu for seen in turns]))
    row("CPU of both writers", median([seen.cpu - seen.main_cpu for seen in turns]))
    table.add_row("orders journaled as filled", f"{min(len(seen.orders) for seen in turns):,}")
    table.add_row("commits of the journal", f"{max(seen.commits for seen in turns):,}")
    table.add_row("most calls of an account in a second", f"{max(seen.peak_calls for seen in turns)}")
    return table


def _delays(clock: str, turns: Sequence[Sequence[Seen]]) -> Table:
    table = Table(title=f"p99 of the accounts whose broker is prompt, {clock}, median of {len(turns)}, seconds")
    table.add_column(f"accounts that take {SLOW.total_seconds():.0f} s to answer")
    for column in ("boundary to sent", "later", "sent to journaled", "later", f"goal {MOST_DELAY * 1000:.0f} ms"):
        table.add_column(column, justify="right")
    for number, count in enumerate(SLOW_ACCOUNTS):
        others = [[_prompt(seen, SLOW_ACCOUNTS[-1]) for seen in (turn[0], turn[number])] for turn in turns]
        cells, worst = [], 0.0
        for of in (lambda each: each.sent, lambda each: each.journaled - each.sent):
            pairs = [[_quantile(sorted(map(of, times)), 0.99) for times in pair] for pair in others]
            later = statistics.median(with_slow - without for without, with_slow in pairs)
            worst = max(worst, later)
            cells += [f"{statistics.median(pair[1] for pair in pairs):.3f}", f"{later:+.3f}" if count else ""]
        met = "" if not count else "reached" if worst <= MOST_DELAY else "not reached"
        table.add_row(str(count or "none"), *cells, met)
    return table


def _prompt(seen: Seen, count: int) -> list[Times]:
    """The orders of accounts that are slow in no turn."""
    slow = _slow(count)
    return [each for each in seen.orders if (each.user, each.account) not in slow]


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[max(0, math.ceil(len(ascending) * share) - 1)]


if __name__ == "__main__":
    main()
