"""Killed after any commit and started again, a day ends as if nothing had happened; nothing is ordered twice."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.order import Order, OrderReport, OrderState
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import Approved
from option_baskets.domain.run import RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.engine.report import as_json
from option_baskets.ports import Put, Write
from option_baskets.store import codec
from option_baskets.store.books import Books
from option_baskets.store.keys import ORDER
from option_baskets.wiring import Embedded
from tests.engine.small_market import chain
from tests.engine.tiny_day import DAY, LOT, QUIET, SPREAD, Played, Prices, call, instant, play_day, record, steady

SHORT_DAY = (
    SPREAD.replace("09:20", "09:17")
    .replace("09:35", "09:20")
    .replace('strike = { rule = "atm" }', 'strike = { rule = "atm" }\n  stop = { percent = 50 }')
)
"""In at 09:17, the sold call is stopped at 09:19, the wing goes at 09:20."""


class Killed(SystemExit):
    """Ends the loop at once, as a signal ends a process."""


@dataclass
class Life:
    """How many more writes that matter are made before the process dies, and whether it is dead."""

    left: int
    last: Sequence[Write] = ()
    journal: dict[str, OrderState] = field(default_factory=dict)
    """The state each order was last committed in."""

    def spend(self, writes: Sequence[Write] = ()) -> None:
        self.left -= 1
        self.last = writes
        for write in writes:
            if isinstance(write, Put) and ORDER in write.item.sk:
                order = codec.decode(write.item.body, Order)
                self.journal[order.intent.id] = order.state
        if self.left == 0:
            raise Killed

    def check(self) -> None:
        if self.left <= 0:
            raise Killed


class MortalTable:
    """A table whose process dies right after a commit; marks of ticks and prices do not count."""

    def __init__(self, table: Any, life: Life) -> None:
        self._table = table
        self._life = life

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def commit(self, writes: Sequence[Write]) -> None:
        self._life.check()
        await self._table.commit(writes)
        if not all(isinstance(write, Put) and write.item.pk.startswith(("TICKS#", "MARKET")) for write in writes):
            self._life.spend(writes)


class MortalBroker:
    """A broker whose process dies right after an order is in the exchange's book, before anybody heard of that."""

    def __init__(self, broker: Any, life: Life) -> None:
        self._broker = broker
        self._life = life

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def place(self, approved: Approved) -> OrderReport:
        self._life.check()
        report: OrderReport = await self._broker.place(approved)
        self._life.spend()
        return report


def dying(table: Life | None = None, orders: Life | None = None) -> type[Embedded]:
    class Mortal(Embedded):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            if table is not None:
                mortal: Any = MortalTable(self.table, table)
                self.table, self.books = mortal, Books(mortal)

        async def trading_day(self, *given: Any) -> TradingDay:
            day = await super().trading_day(*given)
            if orders is not None:
                desk = day.trading.desk
                brokers: Any = {key: MortalBroker(broker, orders) for key, broker in desk.brokers.items()}
                desk.brokers = brokers
            return day

    return Mortal


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prices: Prices = {
        "NIFTY": steady("26010", end="09:24"),
        call(): steady("100", end="09:24", at0918="160"),
        call(26100): steady("40", end="09:24"),
    }
    return record(tmp_path_factory.mktemp("days"), prices, hours="09:15-09:24")


@pytest.fixture(scope="module")
def uninterrupted(days: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play_day(days, tmp_path_factory.mktemp("whole"), SHORT_DAY)


def text(played: Played) -> str:
    return json.dumps(as_json([played.day]))


def assert_journal_is_the_exchanges_book(played: Played) -> None:
    """What was handed over exists once at the exchange and as the journal has it; nothing else is there."""
    book = {tag: (state, filled, value) for tag, state, filled, value in played.book("tag, state, filled, value")}
    assert len(book) == len(played.book("tag"))
    handed = {order.intent.id: order for order in played.orders if order.broker_order_id}
    assert {tag: (order.state, order.filled, str(order.value)) for tag, order in handed.items()} == book


def assert_every_lot_is_accounted_for(played: Played) -> None:
    wanted = {("short", "one"): 2, ("wing", "one"): 2, ("short", "two"): 1, ("wing", "two"): 1}
    missing: Counter[tuple[str, str]] = Counter()
    for each in played.run.shortfalls:
        missing[each.leg, each.account] += each.quantity
    for (leg, account), lots in wanted.items():
        assert played.leg(leg, account).entered + missing[leg, account] == lots * LOT


def test_the_uninterrupted_day_is_what_the_others_are_compared_with(uninterrupted: Played) -> None:
    assert uninterrupted.run.status is RunStatus.CLOSED
    assert uninterrupted.leg("short").gross == (100 - 160) * 2 * LOT
    assert_journal_is_the_exchanges_book(uninterrupted)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", range(4))
def test_killed_after_any_commit_the_day_ends_the_same(
    days: Path, uninterrupted: Played, tmp_path: Path, part: int
) -> None:
    """But for an order that was being sent: whether it left is not known, so it is absent and never sent again."""
    survived = False
    for number in range(1 + part, 1000, 4):
        life = Life(number)
        data = tmp_path / str(number)
        try:
            play_day(days, data, SHORT_DAY, machine_of=dying(table=life))
            survived = True
            break
        except Killed:
            pass
        resumed = play_day(days, data, SHORT_DAY)
        assert_journal_is_the_exchanges_book(resumed)
        assert_every_lot_is_accounted_for(resumed)
        assert resumed.run.is_flat
        sending = being_sent(life, resumed)
        if not sending:
            assert text(resumed) == text(uninterrupted), f"after commit {number}"
        for tag in sending:
            (order,) = (each for each in resumed.orders if each.intent.id == tag)
            assert (order.state, order.reason) == (OrderState.ABSENT, Reason.ABSENT)
            assert order.updated_at - order.intent.decided_at >= timedelta(seconds=30)
    assert survived
    assert number >= 24


def being_sent(life: Life, resumed: Played) -> list[str]:
    """Tags of the orders that were being sent when the process died and never reached the exchange."""
    arrived = {tag for (tag,) in resumed.book("tag")}
    return sorted(tag for tag, state in life.journal.items() if state is OrderState.SENDING and tag not in arrived)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_order_the_exchange_took_before_the_crash_is_found_in_its_book(days: Path, tmp_path: Path) -> None:
    """One account, so that no other order is on its way at that instant."""
    basket = SHORT_DAY.partition('  [[strategies.allocations]]\n  account = "two"')[0]
    whole = play_day(days, tmp_path / "whole", basket)
    assert len(whole.orders) == 4
    for number in range(1, 5):
        data = tmp_path / str(number)
        with pytest.raises(Killed):
            play_day(days, data, basket, machine_of=dying(orders=Life(number)))
        resumed = play_day(days, data, basket)
        assert text(resumed) == text(whole), f"after order {number}"
        assert_journal_is_the_exchanges_book(resumed)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_between_the_commits_of_a_large_entry_it_is_journaled_anew(tmp_path: Path) -> None:
    """60 lots a leg, one an order, on one account: 120 entries, more than one commit takes."""
    sliced = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT, freeze_quantity=LOT)
    large = record(tmp_path / "days", QUIET, listings=sliced)
    basket = SPREAD.partition('  [[strategies.allocations]]\n  account = "two"')[0].replace("lots = 2", "lots = 60")
    whole = play_day(large, tmp_path / "whole", basket)
    for number in range(1, 1000):
        life = Life(number)
        with pytest.raises(Killed):
            play_day(large, tmp_path / str(number), basket, machine_of=dying(table=life))
        if len(life.last) == 90:
            break
    resumed = play_day(large, tmp_path / str(number), basket)
    assert text(resumed) == text(whole)
    assert_journal_is_the_exchanges_book(resumed)


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_the_grace_what_was_begun_is_unwound_and_nothing_more_is_entered(tmp_path: Path) -> None:
    """Killed when the wings are in and the sold calls are not, and started again five minutes later."""
    days = record(tmp_path / "days", QUIET)
    with pytest.raises(Killed):
        play_day(days, tmp_path / "data", SPREAD, machine_of=dying(orders=Life(2)))
    resumed = play_day(days, tmp_path / "data", SPREAD, begin=instant("09:26"))
    assert resumed.run.is_flat
    assert_every_lot_is_accounted_for(resumed)
    assert_journal_is_the_exchanges_book(resumed)
    assert {each.reason for each in resumed.run.shortfalls} == {Reason.LATE_ENTRY}
    late = [order for order in resumed.orders if order.reason is Reason.LATE_ENTRY]
    assert late
    assert all(order.filled == 0 for order in late)


def test_a_lost_answer_is_settled_from_the_book_and_never_sent_again(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET)
    lossy = {account: Behaviour(lost_answers=1) for account in ("one", "two")}
    played = play_day(days, tmp_path / "data", SPREAD, behaviour=lossy)
    assert played.run.status is RunStatus.CLOSED
    assert len(played.orders) == 8
    assert_journal_is_the_exchanges_book(played)
