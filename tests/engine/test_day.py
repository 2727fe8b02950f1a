"""A whole day: its events, and that nothing which fails in it takes anything else with it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.order import OrderReport, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.risk import Approved
from option_baskets.domain.run import RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.ports import Put, Write
from option_baskets.store.books import Books
from option_baskets.wiring import Embedded
from tests.engine.tiny_day import LOT, QUIET, SPREAD, STRADDLE, call, instant, play_day, put, record, steady

ALONE = SPREAD.partition('  [[strategies.allocations]]\n  account = "two"')[0]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


# ---------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("hours", "schedule", "stops", "duplicates", "refreshes"),
    [("09:15-15:30", 78, 375, 345, 360), ("09:15-15:40", 80, 385, 355, 370)],
)
def test_the_events_of_a_whole_day(
    tmp_path: Path, hours: str, schedule: int, stops: int, duplicates: int, refreshes: int
) -> None:
    """A tick a minute from 09:00; from 13:00 to 14:00 the duplicate check and the refresh come every other minute."""
    played = play_day(record(tmp_path / "days", QUIET, hours=hours), tmp_path / "data")
    assert played.day.events == {
        "ScheduleStrategyTrigger": schedule,
        "CheckStopLoss": stops,
        "CheckDuplicateOrders": duplicates,
        "RefreshMarketData": refreshes,
    }


# ---------------------------------------------------------------- what fails


def failing_feed(at: datetime) -> type[Embedded]:
    """The market cannot be read at one instant."""

    class Feed:
        def __init__(self, feed: Any) -> None:
            self._feed = feed

        async def snapshot(self, asked: datetime) -> Any:
            if asked == at:
                raise Unavailable("the feed is gone")
            return await self._feed.snapshot(asked)

    class Machine(Embedded):
        def __init__(self, **given: Any) -> None:
            market = given.pop("market")
            super().__init__(market=replace(market, feed=Feed(market.feed)), **given)

    return Machine


def test_a_minute_without_a_market_is_alerted_and_the_stop_fires_in_the_next(tmp_path: Path) -> None:
    days = record(
        tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100", at0924="130"), put(): steady("80")}
    )
    played = play_day(days, tmp_path / "data", STRADDLE, machine_of=failing_feed(instant("09:25")))
    assert "handler_failed" in played.alerts
    assert played.leg("1").exit_reason is ExitReason.STOP
    assert played.leg("1").exit_time == instant("09:26")
    assert played.run.status is RunStatus.CLOSED


def test_without_a_market_at_its_minute_a_run_is_skipped_and_alerted(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path / "data", STRADDLE, machine_of=failing_feed(instant("09:20")))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.INTERNAL_ERROR)
    assert "internal_error" in played.alerts
    assert played.book("tag") == []


class Deaf:
    """A broker of which no update ever arrives."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def updates(self) -> AsyncIterator[OrderReport]:
        return
        yield


class Broken(Deaf):
    """A broker whose client fails in a way nobody foresaw, before anything is sent, for one leg."""

    async def place(self, approved: Approved) -> OrderReport:
        if approved.intent.leg == "wing":
            raise KeyError("a field of the answer")
        report: OrderReport = await self._broker.place(approved)
        return report


def with_brokers(kind: type[Deaf]) -> type[Embedded]:
    class Machine(Embedded):
        async def trading_day(self, *given: Any) -> TradingDay:
            day = await super().trading_day(*given)
            brokers: Any = {key: kind(broker) for key, broker in day.trading.desk.brokers.items()}
            day.trading.desk.brokers = brokers
            return day

    return Machine


def test_a_fill_of_which_no_update_came_is_found_in_the_order_book(days: Path, tmp_path: Path) -> None:
    """Half of the hedge is filled at 09:21; the look at the books of that minute tells, and the short follows."""
    basket = ALONE.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 300')
    slow = {"one": Behaviour(partial_fills=1)}
    played = play_day(days, tmp_path / "data", basket, behaviour=slow, machine_of=with_brokers(Deaf))
    assert played.leg("wing").entered == 2 * LOT
    assert played.leg("short").entry_time == instant("09:21")
    assert played.run.status is RunStatus.CLOSED


def test_lost_answers_without_updates_are_settled_from_the_order_book(days: Path, tmp_path: Path) -> None:
    lossy = {"one": Behaviour(lost_answers=1)}
    played = play_day(days, tmp_path / "data", ALONE, behaviour=lossy, machine_of=with_brokers(Deaf))
    assert played.run.status is RunStatus.CLOSED
    assert len(played.book("tag")) == len(set(played.book("tag"))) == 4


def test_an_order_nobody_knows_the_fate_of_is_absent_after_half_a_minute_and_ordered_anew_within_the_grace(
    days: Path, tmp_path: Path
) -> None:
    played = play_day(days, tmp_path / "data", ALONE, machine_of=with_brokers(Broken))
    first, second = sorted(
        (order for order in played.orders if order.intent.leg == "wing"), key=lambda order: order.intent.attempt
    )
    assert (first.intent.attempt, second.intent.attempt) == (0, 1)
    assert {(wing.state, wing.reason) for wing in (first, second)} == {(OrderState.ABSENT, Reason.ABSENT)}
    assert first.updated_at - instant("09:20") >= timedelta(seconds=30)
    assert second.intent.decided_at < instant("09:21")
    assert played.book("tag") == [], "the short waited for a hedge that never came"
    assert played.run.status is RunStatus.FAILED


class FullOnce:
    """A table that refuses one commit, the ``number``-th that matters, as a full disk does for a moment."""

    def __init__(self, table: Any, number: int) -> None:
        self._table = table
        self.left = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: list[Write]) -> None:
        if not all(isinstance(write, Put) and write.item.pk.startswith(("TICKS#", "MARKET")) for write in writes):
            self.left -= 1
            if self.left == 0:
                raise Unavailable("the disk is full; free some space and try again")
        await self._table.commit(writes)


def test_whichever_commit_fails_once_the_day_ends_flat_with_every_lot_accounted_for(tmp_path: Path) -> None:
    """From the claim on. The exchange's book and the journal agree in the end, and somebody was told."""
    days = record(tmp_path / "days", {**QUIET, call(): steady("100", at0924="160")})
    basket = ALONE.replace('strike = { rule = "atm" }', 'strike = { rule = "atm" }\n  stop = { percent = 50 }')
    tables: list[FullOnce] = []

    def machine(number: int) -> type[Embedded]:
        class Machine(Embedded):
            def __init__(self, **given: Any) -> None:
                super().__init__(**given)
                table: Any = FullOnce(self.table, number)
                tables.append(table)
                self.table, self.books = table, Books(table)

        return Machine

    number = 8
    while True:
        number += 1
        played = play_day(days, tmp_path / str(number), basket, machine_of=machine(number))
        if tables[-1].left > 0:
            break
        told = set(played.alerts)
        assert told, f"commit {number}"
        if not played.day.runs:
            assert told == {"handler_failed"}
            continue
        assert played.run.is_flat, f"commit {number}"
        assert played.run.status.is_over
        book = {tag: (state, filled) for tag, state, filled in played.book("tag, state, filled")}
        assert book == {each.intent.id: (each.state, each.filled) for each in played.orders if each.broker_order_id}
        if played.run.status is RunStatus.SKIPPED:
            assert book == {}
            continue
        for leg in ("short", "wing"):
            missing = sum(each.quantity for each in played.run.shortfalls if each.leg == leg)
            assert played.leg(leg).entered + missing == 2 * LOT
    assert number > 15
