"""Leases: one holder at a time, also where one was frozen while others came and went."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.errors import Unclear
from option_baskets.ports import Write
from option_baskets.store.leases import SPAN, Leases
from tests.engine.tiny_day import instant


class Answerless:
    """A table that does what it is asked, and whose answer to one commit is lost."""

    def __init__(self, table: SqliteTable) -> None:
        self._table = table
        self.loses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._table.commit(writes)
        if self.loses:
            self.loses = False
            raise Unclear("no answer")


async def opened(path: Path, clock: SimulatedClock) -> AsyncIterator[SqliteTable]:
    table = SqliteTable.open(path / "trading.sqlite", now=clock.now, threaded=False, durable=False)
    yield table
    await table.close()


@pytest.mark.parametrize("ends", ["renews", "releases"])
def test_a_frozen_holder_gets_no_hold_of_a_later_ones_lease(tmp_path: Path, ends: str) -> None:
    async def main(clock: SimulatedClock) -> None:
        async for table in opened(tmp_path, clock):
            leases = Leases(table, clock)
            frozen = await leases.take("ann", "frozen")
            assert frozen is not None
            await clock.pause(SPAN + timedelta(seconds=1))
            second = await leases.take("ann", "second")
            assert second is not None
            await leases.release(second)
            third = await leases.take("ann", "third")
            assert third is not None
            if ends == "renews":
                assert await leases.renew(frozen) is None
            else:
                await leases.release(frozen)
            assert await leases.holder("ann") == "third"
            assert await leases.renew(third) is not None

    run_simulated(main, instant("09:00"))


def test_a_renewal_whose_answer_was_lost_is_a_renewal(tmp_path: Path) -> None:
    async def main(clock: SimulatedClock) -> None:
        async for table in opened(tmp_path, clock):
            line = Answerless(table)
            leases = Leases(line, clock)
            lease = await leases.take("ann", "first")
            assert lease is not None
            line.loses = True
            await clock.pause(SPAN / 3)
            renewed = await leases.renew(lease)
            assert renewed is not None
            assert renewed.until > lease.until
            assert await leases.renew(renewed) is not None

    run_simulated(main, instant("09:00"))


def test_a_lease_that_was_given_back_is_anybodys_at_once(tmp_path: Path) -> None:
    async def main(clock: SimulatedClock) -> None:
        async for table in opened(tmp_path, clock):
            leases = Leases(table, clock)
            first = await leases.take("ann", "first")
            assert first is not None
            assert await leases.take("ann", "second") is None
            await leases.release(first)
            assert await leases.holder("ann") is None
            assert await leases.take("ann", "second") is not None

    run_simulated(main, instant("09:00"))
