"""What every broker adapter keeps, numbered. An adapter passes by giving a ``Venue`` in the fixture.

1 a marketable order is filled              10 cancelling a final order changes nothing
2 an order away from the market rests        11 a new limit is matched at once
3 a resting order fills when the market comes 12 a new quantity is the total
4 what an exchange would not take is REJECTED 13 a modification it would not take changes nothing
5 a rejected order is in the order book      14 an id it does not know is NotFound
6 a repeated tag is a second order           15 positions are net units
7 reports are cumulative, values exact       16 updates tell every change in order
8 order ids are the account's own            17 accounts do not see each other
9 a working order can be cancelled           18 what was answered survives a restart
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.domain.contract import Side
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.order import OrderReport, OrderState
from option_baskets.domain.risk import Approved
from tests.contract.venue import (
    CALL,
    CLOSE,
    DAY,
    DEEP,
    LISTINGS,
    LOT,
    OPEN,
    PUT,
    Venue,
    open_table_venue,
    open_venue,
    order,
)
from tests.engine.small_market import option


@pytest.fixture(params=["paper", "paper-table"])
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    if request.param == "paper":
        venue = open_venue(tmp_path / "book.db")
        yield venue
        await venue.exchange.close()
        return
    on_table = await open_table_venue(tmp_path / "tables.db")
    yield on_table
    await on_table.exchange.close()
    await on_table.table.close()


async def test_01_a_marketable_order_is_filled_at_the_opposite_price(venue: Venue) -> None:
    bought = await venue.broker().place(order(tag="B", limit="101.00"))
    sold = await venue.broker().place(order(tag="S", side=Side.SELL, limit="99.00"))
    assert (bought.state, bought.filled, bought.value) == (OrderState.FILLED, LOT, LOT * Decimal("100.05"))
    assert (sold.state, sold.filled, sold.value) == (OrderState.FILLED, LOT, LOT * Decimal("99.95"))
    assert (bought.tag, bought.contract, bought.side, bought.account) == ("B", CALL, Side.BUY, "one")
    assert bought.limit == Decimal("101.00")
    assert bought.at == venue.clock.now()


async def test_02_an_order_away_from_the_market_rests(venue: Venue) -> None:
    report = await venue.broker().place(order(limit="100.00"))
    assert (report.state, report.filled, report.value) == (OrderState.OPEN, 0, Decimal(0))


@pytest.mark.parametrize(("side", "limit", "ask"), [(Side.BUY, "98.00", "97.90"), (Side.SELL, "102.00", "102.20")])
async def test_03_a_resting_order_fills_when_the_market_comes_to_it(
    venue: Venue, side: Side, limit: str, ask: str
) -> None:
    await venue.broker().place(order(side=side, limit=limit))
    await venue.move("98.00", "98.10")
    assert [report.state for report in await venue.broker().orders()] == [OrderState.OPEN]
    await venue.move(str(Decimal(ask) - Decimal("0.10")), ask)
    (report,) = await venue.broker().orders()
    price = Decimal(ask) if side is Side.BUY else Decimal(ask) - Decimal("0.10")
    assert (report.state, report.value) == (OrderState.FILLED, LOT * price)
    assert report.at == venue.clock.now()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (order(quantity=LOT + 1), "lot 65"),
        (order(quantity=LOT * 28), "freeze quantity 1755"),
        (order(limit="100.02"), "tick 0.05"),
        (order(contract=option("NIFTY", DAY, 26001, "CE")), "not listed"),
    ],
    ids=["lot", "freeze", "tick", "listing"],
)
async def test_04_an_order_an_exchange_would_not_take_is_rejected_with_a_message(
    venue: Venue, bad: Approved, message: str
) -> None:
    report = await venue.broker().place(bad)
    assert (report.state, report.filled) == (OrderState.REJECTED, 0)
    assert message in report.message


@pytest.mark.parametrize("at", [OPEN - timedelta(microseconds=1), CLOSE], ids=["before the open", "at the close"])
async def test_04_an_order_outside_the_session_is_rejected(venue: Venue, at: datetime) -> None:
    venue.clock.move_to(at + timedelta(days=1))
    report = await venue.broker().place(order())
    assert report.state is OrderState.REJECTED
    assert "not trading" in report.message


async def test_05_a_rejected_order_is_in_the_order_book(venue: Venue) -> None:
    report = await venue.broker().place(order(limit="100.02"))
    assert await venue.broker().orders() == (report,)


async def test_06_a_repeated_tag_is_a_second_order(venue: Venue) -> None:
    first = await venue.broker().place(order(tag="SAME"))
    second = await venue.broker().place(order(tag="SAME"))
    assert first.broker_order_id != second.broker_order_id
    assert [report.tag for report in await venue.broker().orders()] == ["SAME", "SAME"]
    assert await venue.broker().positions() == {CALL: 2 * LOT}


async def test_07_reports_are_cumulative_and_their_values_exact(venue: Venue) -> None:
    await venue.move("99.95", "100.05", quantity=LOT)
    report = await venue.broker().place(order(quantity=3 * LOT, limit="100.05"))
    assert (report.state, report.filled, report.value) == (OrderState.PARTIAL, LOT, LOT * Decimal("100.05"))
    await venue.move("99.05", "99.15", quantity=LOT)
    (report,) = await venue.broker().orders()
    # The next level of a modelled book is half a percent worse, rounded up to the tick: 99.15 + 0.50 = 99.65.
    expected = LOT * (Decimal("100.05") + Decimal("99.15") + Decimal("99.65"))
    assert (report.state, report.filled, report.value) == (OrderState.FILLED, 3 * LOT, expected)


async def test_08_order_ids_are_unique_within_an_account(venue: Venue) -> None:
    reports = [await venue.broker().place(order(tag=f"T{number}")) for number in range(5)]
    assert len({report.broker_order_id for report in reports}) == 5


async def test_09_a_working_order_can_be_cancelled_and_never_fills_after(venue: Venue) -> None:
    placed = await venue.broker().place(order(limit="98.00"))
    report = await venue.broker().cancel(placed.broker_order_id)
    assert (report.state, report.filled) == (OrderState.CANCELLED, 0)
    await venue.move("97.00", "97.10")
    assert await venue.broker().orders() == (report,)


async def test_09_a_cancelled_part_keeps_its_fills(venue: Venue) -> None:
    await venue.move("99.95", "100.05", quantity=LOT)
    placed = await venue.broker().place(order(quantity=2 * LOT, limit="100.05"))
    report = await venue.broker().cancel(placed.broker_order_id)
    assert (report.state, report.filled, report.value) == (OrderState.CANCELLED, LOT, LOT * Decimal("100.05"))
    assert await venue.broker().positions() == {CALL: LOT}


async def test_10_cancelling_a_final_order_changes_nothing_and_tells_its_state(venue: Venue) -> None:
    placed = await venue.broker().place(order())
    assert await venue.broker().cancel(placed.broker_order_id) == placed
    assert await venue.broker().modify(placed.broker_order_id, limit=Decimal(200), quantity=2 * LOT) == placed


async def test_11_a_new_limit_is_matched_at_once(venue: Venue) -> None:
    placed = await venue.broker().place(order(limit="98.00"))
    moved = await venue.broker().modify(placed.broker_order_id, limit=Decimal("99.00"), quantity=LOT)
    assert (moved.state, moved.limit) == (OrderState.OPEN, Decimal("99.00"))
    filled = await venue.broker().modify(placed.broker_order_id, limit=Decimal("100.10"), quantity=LOT)
    assert (filled.state, filled.value) == (OrderState.FILLED, LOT * Decimal("100.05"))
    assert filled.broker_order_id == placed.broker_order_id


async def test_12_a_new_quantity_is_the_total_with_what_is_filled(venue: Venue) -> None:
    await venue.move("99.95", "100.05", quantity=LOT)
    placed = await venue.broker().place(order(quantity=3 * LOT, limit="100.05"))
    smaller = await venue.broker().modify(placed.broker_order_id, limit=Decimal("100.05"), quantity=2 * LOT)
    assert (smaller.state, smaller.filled, smaller.quantity) == (OrderState.PARTIAL, LOT, 2 * LOT)
    await venue.move("99.95", "100.05", quantity=DEEP)
    (report,) = await venue.broker().orders()
    assert (report.state, report.filled) == (OrderState.FILLED, 2 * LOT)


@pytest.mark.parametrize(
    ("limit", "quantity", "message"),
    [
        ("99.02", 2 * LOT, "tick 0.05"),
        ("99.00", LOT + 1, "lot 65"),
        ("99.00", LOT, "not above the 65 filled"),
        ("99.00", 28 * LOT, "freeze quantity"),
    ],
)
async def test_13_a_modification_it_would_not_take_changes_nothing(
    venue: Venue, limit: str, quantity: int, message: str
) -> None:
    await venue.move("99.95", "100.05", quantity=LOT)
    placed = await venue.broker().place(order(quantity=2 * LOT, limit="100.05"))
    with pytest.raises(Invalid, match=message):
        await venue.broker().modify(placed.broker_order_id, limit=Decimal(limit), quantity=quantity)
    assert await venue.broker().orders() == (placed,)


async def test_14_an_order_id_it_does_not_know_is_not_found(venue: Venue) -> None:
    theirs = await venue.broker("two").place(order(account="two", limit="98.00"))
    for unknown in ("nothing", theirs.broker_order_id):
        with pytest.raises(NotFound):
            await venue.broker().cancel(unknown)
        with pytest.raises(NotFound):
            await venue.broker().modify(unknown, limit=Decimal(99), quantity=LOT)


async def test_15_positions_are_net_units_and_flat_contracts_are_absent(venue: Venue) -> None:
    for number, (contract, side, lots) in enumerate(
        [(CALL, Side.SELL, 3), (PUT, Side.BUY, 2), (CALL, Side.BUY, 1), (PUT, Side.SELL, 2)]
    ):
        limit = "101.00" if side is Side.BUY else "99.00"
        await venue.broker().place(
            order(tag=f"T{number}", contract=contract, side=side, quantity=lots * LOT, limit=limit)
        )
    assert await venue.broker().positions() == {CALL: -2 * LOT}


async def test_16_updates_tell_every_change_in_order_to_every_reader(venue: Venue) -> None:
    early, other = venue.broker().updates(), venue.broker().updates()
    returned = [await venue.broker().place(order(tag="A", limit="98.00"))]
    returned.append(await venue.broker().modify(returned[0].broker_order_id, limit=Decimal("97.00"), quantity=LOT))
    await venue.move("96.90", "97.00")
    returned += await venue.broker().orders()
    returned.append(await venue.broker().place(order(tag="B", limit="90.00")))
    returned.append(await venue.broker().cancel(returned[-1].broker_order_id))
    late = venue.broker().updates()
    returned.append(await venue.broker().place(order(tag="C", limit="97.02")))
    states = [OrderState.OPEN, OrderState.OPEN, OrderState.FILLED, OrderState.OPEN, OrderState.CANCELLED]
    assert [report.state for report in returned] == [*states, OrderState.REJECTED]
    assert await take(early, 6) == returned
    assert await take(other, 6) == returned
    assert await take(late, 1) == returned[-1:]


async def test_17_accounts_do_not_see_each_other(venue: Venue) -> None:
    report = await venue.broker("one").place(order())
    assert await venue.broker("two").orders() == ()
    assert await venue.broker("two").positions() == {}
    assert await venue.broker("one").orders() == (report,)
    assert venue.broker("one").account == "one"


async def test_17_the_contract_list_is_the_one_of_the_market(venue: Venue) -> None:
    assert await venue.broker().instruments(DAY) == LISTINGS
    assert await venue.broker().instruments(DAY + timedelta(days=1)) == ()


async def test_18_what_was_answered_survives_a_restart(venue: Venue) -> None:
    await venue.move("99.95", "100.05", quantity=LOT)
    await venue.broker().place(order(tag="A", quantity=3 * LOT, limit="100.05"))
    await venue.broker().place(order(tag="B", limit="100.02"))
    await venue.broker("two").place(order(tag="C", account="two", side=Side.SELL, limit="99.00"))
    before = await everything(venue, ["one", "two"])
    await venue.restart()
    assert await everything(venue, ["one", "two"]) == before
    await venue.move("99.95", "100.05", quantity=DEEP)
    next_order = await venue.broker().place(order(tag="D"))
    reports = await venue.broker().orders()
    assert [(each.tag, each.state) for each in reports] == [
        ("A", OrderState.FILLED),
        ("B", OrderState.REJECTED),
        ("D", OrderState.FILLED),
    ]
    assert len({each.broker_order_id for each in reports}) == 3
    assert next_order in reports
    assert await venue.broker().positions() == {CALL: 4 * LOT}


async def take(updates: AsyncIterator[OrderReport], most: int) -> list[OrderReport]:
    return [await anext(updates) for _ in range(most)]


async def everything(venue: Venue, accounts: Sequence[str]) -> list[object]:
    return [(await venue.broker(each).orders(), await venue.broker(each).positions()) for each in accounts]
