"""Shifts: many short-lived engines over one user's books do what one engine does in a day."""

from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.domain.run import Run
from option_baskets.store.keys import shard_of
from option_baskets.wiring import LOCAL_USER
from tests.engine.shifts import SHARDS, Shop
from tests.engine.tiny_day import (
    DAY,
    FACTS,
    QUIET,
    SPREAD,
    STRADDLE,
    Prices,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)

MOVES: Prices = {
    "NIFTY": steady("26010"),
    call(): steady("100", at0925="130"),
    put(): steady("80", at0925="60"),
    call(26100): steady("40"),
}


def by_shifts(days: Path, data: Path, basket: str, **how: Any) -> tuple[list[Run], Shop]:
    data.mkdir(parents=True, exist_ok=True)
    shops = []

    async def main(clock: SimulatedClock) -> list[Run]:
        shop = Shop(data=data, days=days, clock=clock, **how)
        shops.append(shop)
        try:
            file = parse_basket("format = 1\n" + basket, FACTS.names)
            await shop.adopt(LOCAL_USER, file)
            await shop.play()
            await shop.look_back(LOCAL_USER)
            return await shop.books.runs_on(LOCAL_USER, DAY)
        finally:
            await shop.close()

    return run_simulated(main, instant("09:00")), shops[0]


def same(run: Run) -> Run:
    """What of a run does not depend on how often it was stored."""
    return replace(
        run,
        version=0,
        basket=replace(run.basket, version=0),
        strategy=replace(run.strategy, version=0),
        allocations=tuple(replace(each, version=0) for each in run.allocations),
    )


@pytest.mark.parametrize("basket", [STRADDLE, SPREAD], ids=["straddle", "spread"])
@pytest.mark.parametrize("prices", [QUIET, MOVES], ids=["quiet", "moves"])
@pytest.mark.parametrize("wakes", [1, 3])
def test_a_day_of_shifts_ends_as_a_day_of_one_engine(tmp_path: Path, basket: str, prices: Any, wakes: int) -> None:
    days = record(tmp_path / "days", prices)
    played = play_day(days, tmp_path / "one", basket)
    runs, shop = by_shifts(days, tmp_path / "many", basket, wakes=wakes)
    assert [same(run) for run in runs] == [same(played.run)]
    assert shop.begun > 10
    assert not shop.failures


@pytest.mark.parametrize("prices", [QUIET, MOVES], ids=["quiet", "moves"])
def test_two_timers_and_three_deliveries_trade_a_day_once(tmp_path: Path, prices: Any) -> None:
    days = record(tmp_path / "days", prices)
    played = play_day(days, tmp_path / "one", SPREAD)
    runs, _ = by_shifts(days, tmp_path / "many", SPREAD, wakes=3, timers=2)
    assert [same(run) for run in runs] == [same(played.run)]


@pytest.mark.parametrize("deadly", range(1, 9))
def test_a_worker_that_dies_between_journal_and_send_leaves_no_lot_open_and_none_ordered_twice(
    tmp_path: Path, deadly: int
) -> None:
    days = record(tmp_path / "days", MOVES)
    runs, shop = by_shifts(days, tmp_path / "many", SPREAD, deadly=frozenset({deadly}))
    assert shop.deaths == 1
    (run,) = runs
    assert run.status.is_over
    assert not any(position.open for position in run.positions)
    tags = [entry.report.tag for entry in shop.book]
    assert len(tags) == len(set(tags))
    assert not shop.held


def test_somebody_faster_at_every_third_commit_delays_and_loses_nothing(tmp_path: Path) -> None:
    days = record(tmp_path / "days", MOVES)
    runs, shop = by_shifts(days, tmp_path / "many", SPREAD, conflicts_every=3)
    (run,) = runs
    assert run.status.is_over
    assert not any(position.open for position in run.positions)
    assert not shop.held


def test_what_is_due_and_held_is_found_shard_by_shard(tmp_path: Path) -> None:
    """Every user of every shard once, by whoever looks at that shard, and by nobody else."""
    days = record(tmp_path / "days", QUIET)
    file = parse_basket("format = 1\n" + SPREAD, FACTS.names)
    users = [f"user-{number}" for number in range(12)]

    async def main(clock: SimulatedClock) -> tuple[list[list[str]], list[list[str]]]:
        (tmp_path / "data").mkdir()
        shop = Shop(data=tmp_path / "data", days=days, clock=clock)
        for user in users:
            await shop.adopt(user, file)
        due, holders = [], []
        for shard in range(SHARDS):
            part = shop.books.of_shard(shard)
            due.append([each.user_id for each in await part.due(time(9, 20))])
        await shop.play(until=instant("09:25"))
        for shard in range(SHARDS):
            holders.append(await shop.books.of_shard(shard).holders())
        await shop.close()
        return due, holders

    for found in run_simulated(main, instant("09:00")):
        assert sorted(user for part in found for user in part) == sorted(users)
        assert [{shard_of(user, SHARDS) for user in part} for part in found if part] == [
            {shard} for shard in range(SHARDS) if found[shard]
        ]
