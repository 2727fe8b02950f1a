"""What the paper exchange does beyond the Broker port: fill models, seeded behaviour, its book, its clock."""

import ast
import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import option_baskets.adapters.brokers as brokers_package
from option_baskets.adapters.brokers.fills import FillModel, Level, QuotedFills, RecordedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.brokers.paper_book import PaperBook
from option_baskets.adapters.brokers.paper_floor import Protection, no_protection
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.errors import Invalid, NotFound, Unavailable, Unclear
from option_baskets.domain.order import OrderReport, OrderState
from option_baskets.domain.price_band import Band
from tests.contract.venue import CALL, DAY, DEEP, LISTINGS, LOT, PUT, Venue, open_venue, order
from tests.engine.small_market import SmallMarket, chain, option


class Opener(Protocol):
    def __call__(
        self,
        *,
        fills: FillModel | None = None,
        market: SmallMarket | None = None,
        protection: Protection = no_protection,
    ) -> Venue: ...


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens venues, each with a book of its own, and closes them."""
    venues: list[Venue] = []

    def open_another(
        *,
        fills: FillModel | None = None,
        market: SmallMarket | None = None,
        protection: Protection = no_protection,
    ) -> Venue:
        path = tmp_path / f"book-{len(venues)}.db"
        venues.append(open_venue(path, fills=fills, market=market, protection=protection))
        return venues[-1]

    yield open_another
    for venue in venues:
        await venue.exchange.close()


@pytest.fixture
async def venue(opened: Opener) -> Venue:
    return opened()


def recorded(opened: Opener, slippage: str = "0") -> Venue:
    """The price known at 09:20 is 100.00."""
    market = SmallMarket(LISTINGS)
    return opened(fills=RecordedFills(market, slippage=Decimal(slippage)), market=market)


def book(venue: Venue) -> Path:
    return book_file(venue).path


def book_file(venue: Venue) -> PaperBook:
    assert isinstance(venue.exchange.book, PaperBook)
    return venue.exchange.book


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read the book as anybody could, without the exchange."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


# ---------------------------------------------------------------- recorded data


async def test_a_recorded_order_fills_whole_at_the_open_of_the_bar_that_starts_then(opened: Opener) -> None:
    venue = recorded(opened)
    venue.market.open(CALL, venue.clock.now(), "100.40")
    report = await venue.broker().place(order(quantity=20 * LOT, limit="101.00"))
    assert (report.filled, report.value) == (20 * LOT, 20 * LOT * Decimal("100.40"))


async def test_a_recorded_order_fills_at_the_known_price_where_there_are_no_opens(opened: Opener) -> None:
    report = await recorded(opened).broker().place(order(limit="101.00"))
    assert report.value == LOT * Decimal("100.00")


@pytest.mark.parametrize(("side", "limit", "price"), [(Side.BUY, "101.00", "100.30"), (Side.SELL, "99.00", "99.70")])
async def test_slippage_worsens_every_recorded_fill(opened: Opener, side: Side, limit: str, price: str) -> None:
    report = await recorded(opened, "0.30").broker().place(order(side=side, limit=limit))
    assert report.value == LOT * Decimal(price)


async def test_slippage_never_sells_below_one_tick(opened: Opener) -> None:
    report = await recorded(opened, "500").broker().place(order(side=Side.SELL, limit="99.00"))
    assert report.value == LOT * Decimal("0.05")


def test_slippage_that_would_make_fills_better_is_refused() -> None:
    with pytest.raises(ValueError, match="slippage -1"):
        RecordedFills(SmallMarket(LISTINGS), slippage=Decimal(-1))


@pytest.mark.parametrize("limit", ["95.00", "130.00"])
async def test_an_order_with_a_level_fills_there_whatever_its_limit(opened: Opener, limit: str) -> None:
    report = await recorded(opened, "0.10").broker().place(order(level="125.625", limit=limit))
    assert report.value == LOT * Decimal("125.725")


async def test_a_recorded_order_fills_at_the_recorded_price_whatever_its_limit(opened: Opener) -> None:
    report = await recorded(opened).broker().place(order(limit="98.00"))
    assert report.value == LOT * Decimal(100)


async def test_a_recorded_order_in_a_contract_without_a_price_rests(opened: Opener) -> None:
    report = await recorded(opened).broker().place(order(contract=LISTINGS[0].contract))
    assert report.state is OrderState.OPEN


# ---------------------------------------------------------------- the quoted book


@pytest.mark.parametrize(
    ("last", "side", "limit", "price"),
    [
        ("100.00", Side.BUY, "101.00", "100.25"),
        ("100.00", Side.SELL, "99.00", "99.75"),
        ("10.00", Side.BUY, "11.00", "10.05"),
        ("10.00", Side.SELL, "9.00", "9.95"),
        ("0.05", Side.SELL, "0.05", "0.05"),
    ],
)
async def test_without_a_book_the_spread_is_modelled_around_the_last_price(
    venue: Venue, last: str, side: Side, limit: str, price: str
) -> None:
    venue.market.set(CALL, venue.clock.now(), last)
    report = await venue.broker().place(order(side=side, limit=limit))
    assert report.value == LOT * Decimal(price)


async def test_where_the_book_has_no_sellers_a_buyer_waits(venue: Venue) -> None:
    venue.market.set(CALL, venue.clock.now(), "100", bid="99.95", bid_quantity=DEEP)
    assert (await venue.broker().place(order(limit="200.00"))).state is OrderState.OPEN


async def test_size_beyond_the_top_walks_a_modelled_book_of_five_levels_down_to_the_limit(venue: Venue) -> None:
    venue.quote(CALL, "99.95", "100.05", LOT)
    deep = await venue.broker().place(order(tag="A", quantity=8 * LOT, limit="110.00"))
    prices = [Decimal(price) for price in ("100.05", "100.60", "101.15", "101.70", "102.25")]
    assert (deep.filled, deep.value) == (5 * LOT, LOT * sum(prices))
    limited = await venue.broker().place(order(tag="B", quantity=8 * LOT, limit="101.00"))
    assert (limited.filled, limited.value) == (2 * LOT, LOT * sum(prices[:2]))


async def test_a_known_book_is_walked_instead_of_a_modelled_one(opened: Opener) -> None:
    class Book:
        def depth(self, contract: Contract, side: Side, at: datetime) -> tuple[Level, ...]:
            return (Level(Decimal("100.10"), LOT), Level(Decimal("100.20"), 2 * LOT))

    venue = opened(fills=QuotedFills(depth=Book()))
    report = await venue.broker().place(order(quantity=4 * LOT))
    assert (report.filled, report.value) == (3 * LOT, LOT * Decimal("100.10") + 2 * LOT * Decimal("100.20"))


async def test_one_quote_is_not_taken_twice(venue: Venue) -> None:
    venue.quote(CALL, "99.95", "100.05", LOT)
    placed = await venue.broker().place(order(quantity=3 * LOT, limit="100.05"))
    await venue.exchange.on_market(venue.clock.now())
    again = await venue.broker().modify(placed.broker_order_id, limit=Decimal("100.60"), quantity=3 * LOT)
    assert (again.filled, again.value) == (2 * LOT, LOT * (Decimal("100.05") + Decimal("100.60")))


async def test_nothing_resting_costs_no_look_at_the_market(venue: Venue) -> None:
    await venue.broker().place(order())
    taken = venue.market.snapshots_taken
    await venue.exchange.on_market(venue.clock.now())
    assert venue.market.snapshots_taken == taken


async def test_a_resting_order_does_not_fill_after_the_close(venue: Venue) -> None:
    await venue.broker().place(order(limit="98.00"))
    venue.clock.move(timedelta(hours=7))
    await venue.move("97.00", "97.10")
    assert [report.state for report in await venue.broker().orders()] == [OrderState.OPEN]


# ---------------------------------------------------------------- seeded behaviour


async def test_a_share_of_orders_is_rejected_and_the_same_ones_in_any_order(opened: Opener) -> None:
    rejected: list[set[str]] = []
    for tags in (range(200), reversed(range(200))):
        venue = opened()
        broker = venue.exchange.broker("one", behaviour=Behaviour(seed=7, rejections=0.25))
        reports = [await broker.place(order(tag=f"T{tag}")) for tag in tags]
        rejected.append({report.tag for report in reports if report.state is OrderState.REJECTED})
    assert rejected[0] == rejected[1]
    assert 30 <= len(rejected[0]) <= 70


async def test_a_partial_fill_is_whole_lots_and_its_rest_follows_when_the_quote_changes(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(seed=1, partial_fills=1))
    report = await broker.place(order(quantity=20 * LOT))
    assert report.state is OrderState.PARTIAL
    assert report.filled % LOT == 0
    await venue.exchange.on_market(venue.clock.now())
    assert await broker.orders() == (report,)
    await venue.move("99.95", "100.05")
    assert [(each.state, each.filled) for each in await broker.orders()] == [(OrderState.FILLED, 20 * LOT)]


async def test_a_lost_answer_leaves_an_order_that_the_order_book_shows(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(lost_answers=1))
    with pytest.raises(Unclear, match="no answer to order LOST"):
        await broker.place(order(tag="LOST"))
    assert [(each.tag, each.state) for each in await broker.orders()] == [("LOST", OrderState.FILLED)]


async def test_only_accepted_orders_lose_their_answer(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(lost_answers=1))
    assert (await broker.place(order(limit="100.02"))).state is OrderState.REJECTED


async def test_an_answer_takes_its_latency_on_the_market_clock_while_the_order_already_stands(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(latency=timedelta(milliseconds=80)))
    updates = broker.updates()
    placing = asyncio.create_task(broker.place(order()))
    report = await anext(updates)
    assert not placing.done()
    venue.clock.move(timedelta(milliseconds=80))
    assert await placing == report


async def test_calls_over_the_limit_of_a_second_are_refused_and_nothing_happened(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(max_calls_per_second=2))
    placed = await broker.place(order(tag="A", limit="98.00"))
    await broker.modify(placed.broker_order_id, limit=Decimal("97.00"), quantity=LOT)
    with pytest.raises(Unavailable, match="429"):
        await broker.cancel(placed.broker_order_id)
    with pytest.raises(Unavailable, match="429"):
        await broker.place(order(tag="B"))
    venue.clock.move(timedelta(seconds=1))
    assert (await broker.cancel(placed.broker_order_id)).state is OrderState.CANCELLED
    assert len(await broker.orders()) == 1
    assert broker.peak_calls == 2


async def test_an_order_is_modified_as_often_as_its_broker_allows(venue: Venue) -> None:
    broker = venue.exchange.broker("one", behaviour=Behaviour(max_modifications=1))
    placed = await broker.place(order(limit="98.00"))
    await broker.modify(placed.broker_order_id, limit=Decimal("97.00"), quantity=LOT)
    with pytest.raises(Invalid, match="modified 1 times"):
        await broker.modify(placed.broker_order_id, limit=Decimal("96.00"), quantity=LOT)


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rejections = 2 is no probability"):
        Behaviour(rejections=2)


async def test_a_limit_outside_the_price_protection_is_rejected_new_or_changed(opened: Opener) -> None:
    venue = opened(protection=lambda _, __, price: Band(low=price - 40, high=price + 40))
    broker = venue.broker()
    report = await broker.place(order(limit="140.05"))
    assert report.message == "limit 140.05 is outside the price protection of 60.00 to 140.00"
    resting = await broker.place(order(limit="98.00"))
    with pytest.raises(Invalid, match=r"limit 59\.95 is outside"):
        await broker.modify(resting.broker_order_id, limit=Decimal("59.95"), quantity=LOT)
    assert (await broker.place(order(limit="140.00"))).state is OrderState.FILLED


# ---------------------------------------------------------------- the book


def copy_as_a_crash_leaves_it(path: Path, to: Path) -> Path:
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, to)
    return to / path.name


async def test_what_was_answered_is_on_disk_at_that_moment(
    venue: Venue, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reports = [await venue.broker().place(order(tag=f"T{n}", quantity=(n + 1) * LOT)) for n in range(3)]
    crashed = copy_as_a_crash_leaves_it(book(venue), tmp_path_factory.mktemp("crashed"))
    assert rows(crashed, "SELECT tag, filled, value FROM orders ORDER BY number") == [
        (report.tag, report.filled, str(report.value)) for report in reports
    ]


async def test_two_runs_write_the_same_book(opened: Opener) -> None:
    dumps = []
    for _ in range(2):
        venue = opened()
        behaviour = Behaviour(seed=3, partial_fills=0.5, rejections=0.2)
        for account in ("one", "two"):
            broker = venue.exchange.broker(account, behaviour=behaviour)
            await asyncio.gather(
                *(broker.place(order(tag=f"{account}{n}", account=account, quantity=5 * LOT)) for n in range(20))
            )
        await venue.move("99.95", "100.05")
        dumps.append([rows(book(venue), f"SELECT * FROM {table}") for table in ("orders", "fills")])
    assert dumps[0] == dumps[1]
    assert len(dumps[0][0]) == 40


async def test_an_order_whose_sender_gave_up_exists_all_the_same(venue: Venue) -> None:
    placing = asyncio.create_task(venue.broker().place(order(tag="A", limit="98.00")))
    await asyncio.sleep(0)
    assert venue.market.snapshots_taken == 1
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    await venue.broker().place(order(tag="B"))
    assert sorted(report.tag for report in await venue.broker().orders()) == ["A", "B"]
    await venue.move("97.00", "97.10")
    assert {report.state for report in await venue.broker().orders()} == {OrderState.FILLED}


async def test_a_change_whose_sender_gave_up_happens_all_the_same(venue: Venue) -> None:
    placed = await venue.broker().place(order(limit="98.00"))
    updates = venue.broker().updates()
    cancelling = asyncio.create_task(venue.broker().cancel(placed.broker_order_id))
    await asyncio.sleep(0)
    cancelling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelling
    assert (await anext(updates)).state is OrderState.CANCELLED
    assert [report.state for report in await venue.broker().orders()] == [OrderState.CANCELLED]


async def test_a_full_disk_is_unavailable_and_leaves_no_order(venue: Venue) -> None:
    placed = await venue.broker().place(order(tag="A", limit="98.00"))
    pages = rows(book(venue), "PRAGMA page_count")[0][0]
    # The limit is the engine's own, of its one writing connection.
    writer = book_file(venue)._file._writer
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="disk is full"):
        await asyncio.gather(*(venue.broker().place(order(tag=f"T{n}")) for n in range(200)))
    writer.execute("PRAGMA max_page_count = 1000000")
    await venue.broker().place(order(tag="B"))
    reports = await venue.broker().orders()
    assert rows(book(venue), "SELECT broker_order_id FROM orders ORDER BY number") == [
        (report.broker_order_id,) for report in reports
    ]
    assert placed in reports
    assert await venue.broker().positions() == {CALL: sum(report.filled for report in reports)}


async def test_orders_are_good_for_their_day_and_numbered_anew_the_next(venue: Venue) -> None:
    resting = await venue.broker().place(order(tag="A", limit="98.00"))
    await venue.broker().place(order(tag="B", contract=PUT))
    updates = venue.broker().updates()
    venue.clock.move(timedelta(days=1))
    assert await venue.broker().orders() == ()
    with pytest.raises(NotFound):
        await venue.broker().cancel(resting.broker_order_id)
    await venue.move("97.00", "97.10")
    lapsed = await anext(updates)
    assert (lapsed.tag, lapsed.state, lapsed.filled) == ("A", OrderState.CANCELLED, 0)
    today = await venue.broker().place(order(tag="C"))
    assert resting.broker_order_id == "20261123-one-000001"
    assert today.broker_order_id == "20261124-one-000001"


async def test_an_order_that_rested_over_a_restart_lapses_the_next_day(venue: Venue) -> None:
    await venue.broker().place(order(limit="98.00"))
    venue.clock.move(timedelta(days=1))
    await venue.restart()
    await venue.move("97.00", "97.10")
    assert rows(book(venue), "SELECT state, message FROM orders") == [("CANCELLED", "good for its day only")]


async def test_a_position_is_carried_to_its_expiry_and_not_beyond(opened: Opener) -> None:
    later = option("NIFTY", DAY + timedelta(days=8), 26000, "CE")
    listings = chain("NIFTY", later.expiry, [26000], lot_size=LOT)
    venue = opened(market=SmallMarket((*LISTINGS, *listings)))
    venue.quote(later, "150.00", "150.10")
    await venue.broker().place(order(tag="A"))
    await venue.broker().place(order(tag="B", contract=later, side=Side.SELL, limit="149.00"))
    assert await venue.broker().positions() == {CALL: LOT, later: -LOT}
    venue.clock.move(timedelta(days=1))
    assert await venue.broker().positions() == {later: -LOT}
    await venue.restart()
    assert await venue.broker().positions() == {later: -LOT}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["place", "modify", "cancel", "move"]),
            st.sampled_from(Side),
            st.integers(1, 8),
            st.integers(1960, 2040),
        ),
        max_size=25,
    )
)
def test_whatever_is_asked_the_fills_in_the_book_add_up(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Side, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "book.db"
    asyncio.run(play(path, steps))
    fills = rows(path, "SELECT number, filled_before, quantity, price FROM fills ORDER BY number, filled_before")
    for number, side, quantity, limit, filled, value in rows(
        path, "SELECT number, side, quantity, price_limit, filled, value FROM orders"
    ):
        mine = [(before, units, Decimal(str(price))) for n, before, units, price in fills if n == number]
        assert sum(units for _, units, _ in mine) == filled
        assert sum(units * price for _, units, price in mine) == Decimal(str(value))
        assert isinstance(filled, int)
        assert isinstance(quantity, int)
        assert filled <= quantity
        done = 0
        for before, units, _ in mine:
            assert before == done
            done += units
        assert side in ("BUY", "SELL")
        assert Decimal(str(limit)) > 0


async def play(path: Path, steps: list[tuple[str, Side, int, int]]) -> None:
    """Do the steps; every fill must be within the limit the order had at that moment."""
    venue = open_venue(path)
    broker = venue.broker()
    known: dict[str, OrderReport] = {}

    def check(report: OrderReport) -> None:
        before = known.get(report.broker_order_id, replace(report, filled=0, value=Decimal(0)))
        traded = report.filled - before.filled
        paid = report.value - before.value
        assert traded >= 0
        assert paid <= report.limit * traded if report.side is Side.BUY else paid >= report.limit * traded
        known[report.broker_order_id] = report

    for number, (step, side, lots, ticks) in enumerate(steps):
        price = ticks * Decimal("0.05")
        if step == "place":
            check(await broker.place(order(tag=f"T{number}", side=side, quantity=lots * LOT, limit=str(price))))
        elif step == "move":
            await venue.move(str(price - Decimal("0.05")), str(price), quantity=lots * LOT)
            for report in await broker.orders():
                check(report)
        elif known:
            order_id = sorted(known)[number % len(known)]
            try:
                check(
                    await broker.cancel(order_id)
                    if step == "cancel"
                    else await broker.modify(order_id, limit=price, quantity=lots * LOT)
                )
            except Invalid:
                check(next(each for each in await broker.orders() if each.broker_order_id == order_id))
    assert list(await broker.orders()) == list(known.values())
    await venue.exchange.close()


# ---------------------------------------------------------------- its place


async def test_a_slow_reader_holds_nothing_up_and_ends_with_the_exchange(venue: Venue) -> None:
    updates = venue.broker().updates()
    placed = [await venue.broker().place(order(tag=f"T{n}")) for n in range(50)]
    await venue.exchange.close()
    assert [report async for report in updates] == placed
    venue.exchange = venue.connect()


async def test_accounts_of_one_name_belong_to_their_users(venue: Venue) -> None:
    await venue.broker("one").place(order())
    assert await venue.exchange.broker("one", user="somebody").orders() == ()
    await venue.restart()
    assert list(venue.exchange.accounts) == [("local", "one")]


async def test_an_order_for_another_account_or_user_is_a_defect(venue: Venue) -> None:
    with pytest.raises(ValueError, match="local/two, not local/one"):
        await venue.broker("one").place(order(account="two"))
    with pytest.raises(ValueError, match="local/one, not somebody/one"):
        await venue.exchange.broker("one", user="somebody").place(order())
    assert await venue.broker("one").orders() == ()


def test_the_witness_knows_nothing_of_the_engine_and_its_journal() -> None:
    folder = Path(str(brokers_package.__file__)).parent
    imported = {
        node.module
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert "option_baskets.ports" in imported
    assert not [name for name in imported if name.startswith(("option_baskets.engine", "option_baskets.store"))]
