"""What gets lost between a caller and its paper account, and what the account's own book shows of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.order import OrderReport, OrderState
from tests.contract.venue import LOT, Venue, open_venue, order

SECOND = timedelta(seconds=1)


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    opened = open_venue(tmp_path / "book.db")
    yield opened
    await opened.exchange.close()


def tags_of(reports: tuple[OrderReport, ...]) -> list[str]:
    return [report.tag for report in reports]


async def test_a_lost_request_leaves_no_order(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(lost_requests=1))
    with pytest.raises(Unclear, match="cut while sending"):
        await broker.place(order())
    assert await broker.orders() == ()


async def test_half_of_the_server_errors_hide_an_order(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(seed=4, server_errors=1))
    errors = []
    for number in range(40):
        with pytest.raises(Unclear) as raised:
            await broker.place(order(tag=f"T{number}"))
        errors.append(str(raised.value))
    assert set(errors) == {"502 Bad Gateway", "504 Gateway Timeout"}
    taken = [f"T{number}" for number, error in enumerate(errors) if error.startswith("504")]
    assert tags_of(await broker.orders()) == taken
    assert 10 <= len(taken) <= 30


async def test_a_garbled_answer_hides_an_order(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(garbled_answers=1))
    with pytest.raises(Unclear, match="no JSON"):
        await broker.place(order(tag="A"))
    assert tags_of(await broker.orders()) == ["A"]


async def test_a_busy_account_refuses_a_new_order_and_nothing_happened(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(busy=1))
    with pytest.raises(Unavailable, match="429"):
        await broker.place(order())
    assert await broker.orders() == ()


async def test_a_busy_account_takes_a_cancel_after_two_refusals_at_the_most(venue: Venue) -> None:
    broker = venue.exchange.broker("one")
    placed = await broker.place(order(limit="98.00"))
    broker.behaviour = Behaviour(seed=2, busy=1)
    refused = 0
    while True:
        try:
            report = await broker.cancel(placed.broker_order_id)
        except Unavailable:
            refused += 1
            continue
        break
    assert 1 <= refused <= 2
    assert report.state is OrderState.CANCELLED


async def test_a_lost_change_is_done_or_not_and_the_second_call_is_answered(venue: Venue) -> None:
    broker = venue.exchange.broker("one")
    resting = [await broker.place(order(tag=f"T{n}", limit="98.00")) for n in range(20)]
    broker.behaviour = Behaviour(seed=5, lost_changes=1)
    for each in resting:
        with pytest.raises(Unclear):
            await broker.cancel(each.broker_order_id)
    states = [report.state for report in await broker.orders()]
    assert {OrderState.OPEN, OrderState.CANCELLED} == set(states)
    for each in resting:
        assert (await broker.cancel(each.broker_order_id)).state is OrderState.CANCELLED


async def test_a_cancel_that_a_fill_has_crossed_reports_the_fill_at_the_orders_limit(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(crossed_cancels=1))
    placed = await broker.place(order(limit="98.00", quantity=2 * LOT))
    report = await broker.cancel(placed.broker_order_id)
    assert (report.state, report.filled, report.value) == (OrderState.FILLED, 2 * LOT, Decimal("98.00") * 2 * LOT)
    assert await broker.positions() == {placed.contract: 2 * LOT}


async def test_a_slow_order_book_shows_an_order_later_than_it_arrived(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(slow_book=timedelta(seconds=20)))
    await broker.place(order(tag="A"))
    assert await broker.orders() == ()
    venue.clock.move(timedelta(seconds=20))
    assert tags_of(await broker.orders()) == ["A"]


async def test_updates_are_lost_doubled_and_late_as_seeded(venue: Venue) -> None:
    behaviour = Behaviour(seed=3, lost_updates=0.3, doubled_updates=0.3, late_updates=0.3, late_by=5 * SECOND)
    broker = venue.exchange.broker("one", behaviour=behaviour)
    updates = broker.updates()
    sent = [(await broker.place(order(tag=f"T{n}"))).tag for n in range(40)]
    await asyncio.sleep(0)
    while venue.clock.sleeping:
        venue.clock.move(SECOND)
        await asyncio.sleep(0)
    await venue.restart()
    seen = [report.tag async for report in updates]
    assert set(seen) < set(sent)
    assert len(seen) > len(set(seen))
    assert seen != sorted(seen, key=sent.index)


async def test_nothing_gets_through_an_outage_and_its_updates_are_lost(venue: Venue) -> None:
    broker = venue.exchange.broker("one")
    updates = broker.updates()
    resting = await broker.place(order(tag="A", limit="99.00"))
    assert (await anext(updates)).tag == "A"
    broker.behaviour = Behaviour(outages=(Outage(start=venue.clock.now(), lasts=10 * SECOND),))
    for call in (
        broker.place(order(tag="B")),
        broker.cancel(resting.broker_order_id),
        broker.modify(resting.broker_order_id, limit=Decimal(98), quantity=LOT),
        broker.orders(),
        broker.positions(),
    ):
        with pytest.raises(Unavailable, match="connection refused"):
            await call
    await venue.move("98.90", "99.00")
    venue.clock.move(10 * SECOND)
    assert [(each.tag, each.state) for each in await broker.orders()] == [("A", OrderState.FILLED)]
    await broker.place(order(tag="C"))
    assert (await anext(updates)).tag == "C"


async def test_an_answer_that_an_outage_cuts_off_leaves_the_order(venue: Venue) -> None:
    start = venue.clock.now() + SECOND
    behaviour = Behaviour(latency=2 * SECOND, outages=(Outage(start=start, lasts=5 * SECOND),))
    broker = venue.exchange.broker("one", behaviour=behaviour)
    updates = broker.updates()
    placing = asyncio.create_task(broker.place(order(tag="A")))
    await anext(updates)
    venue.clock.move(2 * SECOND)
    with pytest.raises(Unclear, match="cut before the answer"):
        await placing
    venue.clock.move(5 * SECOND)
    assert tags_of(await broker.orders()) == ["A"]


def test_a_probability_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="crossed_cancels = -1 is no probability"):
        Behaviour(crossed_cancels=-1)
