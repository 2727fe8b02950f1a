"""Few commits for many orders: what is known together is journaled together, and never earlier than it is true."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.domain.order import Order, OrderState
from option_baskets.engine.rates import Bucket, Rate, Urgency
from option_baskets.ports import Put, Write
from option_baskets.store import codec
from option_baskets.store.books import Books
from option_baskets.wiring import Embedded
from tests.engine.tiny_day import QUIET, SPREAD, instant, play_day, record

States = tuple[tuple[str, OrderState], ...]
"""(leg, state) of every order in one commit, sorted."""


def watching(commits: list[States]) -> type[Embedded]:
    """A platform that notes what each commit makes of the entry orders of account one."""

    class Watched:
        def __init__(self, table: Any) -> None:
            self._table = table

        def __getattr__(self, name: str) -> Any:
            return getattr(self._table, name)

        async def commit(self, writes: Sequence[Write]) -> None:
            await self._table.commit(writes)
            bodies = [write.item.body for write in writes if isinstance(write, Put) and "#ORDER#" in write.item.sk]
            orders = [codec.decode(body, Order) for body in bodies]
            entries = [each for each in orders if each.intent.action == "ENTER" and each.intent.account == "one"]
            if entries:
                commits.append(tuple(sorted((each.intent.leg, each.state) for each in entries)))

    class Machine(Embedded):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            watched: Any = Watched(self.table)
            self.table, self.books = watched, Books(watched)

    return Machine


def test_a_hedge_and_its_short_are_entered_in_three_commits(tmp_path: Path) -> None:
    commits: list[States] = []
    play_day(record(tmp_path / "days", QUIET), tmp_path / "data", SPREAD, machine_of=watching(commits))
    assert commits == [
        (("short", OrderState.CREATED), ("wing", OrderState.SENDING)),
        (("short", OrderState.SENDING), ("wing", OrderState.FILLED)),
        (("short", OrderState.FILLED),),
    ]


def test_a_short_that_the_rate_holds_back_stays_created_while_its_hedge_fills(tmp_path: Path) -> None:
    commits: list[States] = []
    play_day(
        record(tmp_path / "days", QUIET),
        tmp_path / "data",
        SPREAD,
        rate=Rate(per_second=1, kept_for_exits=0),
        machine_of=watching(commits),
    )
    assert commits == [
        (("short", OrderState.CREATED), ("wing", OrderState.SENDING)),
        (("wing", OrderState.FILLED),),
        (("short", OrderState.SENDING),),
        (("short", OrderState.FILLED),),
    ]


def test_tokens_of_a_second_that_is_over_are_taken_anew() -> None:
    async def main(clock: SimulatedClock) -> None:
        bucket = Bucket(clock, Rate(per_second=5, kept_for_exits=3))
        granted = clock.now()
        assert bucket.take_now(2, Urgency.HEDGE_ENTRY) == 2
        await bucket.confirm(granted, 2, Urgency.HEDGE_ENTRY)
        assert clock.now() == granted
        await clock.sleep_until(granted + timedelta(seconds=1))
        assert await bucket.take(1, Urgency.HEDGE_ENTRY) == 1
        await bucket.confirm(granted, 2, Urgency.HEDGE_ENTRY)
        assert clock.now() == granted + timedelta(seconds=2)

    run_simulated(main, instant("09:20"))
