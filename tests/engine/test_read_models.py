"""What a user reads of trading: it is the day's record, its parts add up, and a part of a list costs what it shows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.domain.basket import BrokerAccount, Schedule, Weekday
from option_baskets.domain.facts import Span
from option_baskets.domain.ids import public_run_id, run_id, run_id_of
from option_baskets.domain.kill import Kill, KillScope
from option_baskets.domain.order import OrderState, advance
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import session_of
from option_baskets.engine.agenda import Agenda, Entry, agenda_of
from option_baskets.engine.allotment import Allotment, allotment_of
from option_baskets.engine.audit import Only, Row, audit
from option_baskets.engine.past import part_of, runs_of_strategy
from option_baskets.engine.positions import Marks, open_legs
from option_baskets.engine.profits import Made, Part, Profits, charges_so_far, profits_of
from option_baskets.engine.report import DayRecord, Profit, record_of
from option_baskets.engine.valuation import Holding, Valuation
from option_baskets.ports import Page
from option_baskets.store.books import Alert, Books
from option_baskets.store.records import Occurrence, What
from option_baskets.wiring import LOCAL_USER, TRADING_FILE, Embedded
from tests.engine import nights, plans
from tests.engine.nights import on
from tests.engine.tiny_day import (
    DAY,
    FACTS,
    LOT,
    QUIET,
    SPREAD,
    STRADDLE,
    Played,
    Prices,
    call,
    instant,
    play_day,
    record,
    steady,
)

T = TypeVar("T")
USER = "asha"
THE_DAY = (instant("00:00"), instant("23:59"))
UNSTEADY = Behaviour(latency=timedelta(milliseconds=200), rejections=0.1, partial_fills=0.6, lost_answers=0.2)
MOVING: Prices = {**QUIET, call(): steady("100", at0924="135", at0930="120"), call(26100): steady("40", at0924="60")}


@asynccontextmanager
async def books_of(data: Path) -> AsyncIterator[Books]:
    """The books a process left, read from their file alone."""
    table = SqliteTable.open(data / TRADING_FILE, now=lambda: instant("23:00"), threaded=False)
    try:
        yield Books(table)
    finally:
        await table.close()


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    table = SqliteTable.open(tmp_path / "t.db", now=lambda: instant("09:00"), threaded=False, durable=False)
    yield Books(table)
    await table.close()


async def played(*given: Any, **options: Any) -> Played:
    """A day runs a loop of its own."""
    return await asyncio.to_thread(play_day, *given, **options)


# ---------------------------------------------------------------- profits


async def both(books: Books, day: date, today: date) -> tuple[DayRecord, Profits]:
    accounts = {account.id: account for account in await books.accounts(LOCAL_USER)}
    kept = await record_of(books, FACTS, accounts, user_id=LOCAL_USER, day=day)
    return kept, await profits_of(books, FACTS, user_id=LOCAL_USER, day=day, today=today)


def require_same(kept: DayRecord, found: Profits) -> None:
    assert (found.total.realised, found.total.charges, found.total.net) == (
        kept.profit.gross,
        kept.profit.charges,
        kept.profit.net,
    )
    assert found.rounding == kept.rounding
    by_part: dict[tuple[str, ...], Profit] = {}
    for each in kept.runs:
        for account, profit in each.profits.items():
            key = (each.run.basket.id, each.run.strategy.id, account)
            by_part[key] = by_part[key] + profit if key in by_part else profit
    told = {(part.basket_id, part.strategy_id, part.account): part.made for part in found.parts}
    assert {key: (made.realised, made.charges) for key, made in told.items()} == {
        key: (profit.gross, profit.charges) for key, profit in by_part.items()
    }


@pytest.mark.parametrize("seed", range(3))
async def test_profits_after_the_close_are_the_day_s_record_whatever_went_wrong(tmp_path: Path, seed: int) -> None:
    basket = SPREAD.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 90')
    behaviour = {account: replace(UNSTEADY, seed=seed) for account in ("one", "two")}
    day = await played(
        record(tmp_path / "days", MOVING), tmp_path / "data", basket, behaviour=behaviour, fills=lambda _: QuotedFills()
    )
    async with books_of(day.data) as books:
        kept, found = await both(books, DAY, DAY)
        assert kept.profit.charges, "something was charged"
        require_same(kept, found)
        assert found.total.unrealised == 0
        later = await profits_of(books, FACTS, user_id=LOCAL_USER, day=DAY, today=DAY + timedelta(days=9))
        assert later == found


async def test_profits_over_nights_are_each_day_s_record_and_add_up_to_the_run(tmp_path: Path) -> None:
    """2 lots of 65 sold at 100 and 80; open at 110 and 85 at Monday's close, 130 x (10 + 5) = 1,950 is lost so far."""
    monday: Prices = {
        "NIFTY": steady("26010"),
        nights.call(): steady("100", at0934="110"),
        nights.put(): steady("80", at0934="85"),
    }
    tuesday: Prices = {"NIFTY": steady("26010"), nights.call(): steady("90"), nights.put(): steady("84")}
    folder = nights.days(tmp_path / "days", {nights.MON: monday, nights.TUE: tuesday})
    overnight = STRADDLE.replace('entry = "09:20"', 'entry = "09:30"').replace(
        'exit = "09:35"', 'exit = "09:20"\nholding = "next_day"\ndays = ["MON"]\nexpiry = { series = "monthly" }'
    )
    found = await asyncio.to_thread(nights.trade, folder, tmp_path / "data", overnight)
    async with books_of(found.data) as books:
        first = await both(books, nights.MON, nights.TUE)
        second = await both(books, nights.TUE, nights.TUE)
        require_same(*first)
        require_same(*second)
        assert [first[1].total.realised, first[1].total.unrealised] == [0, -1950]
        assert [second[1].total.realised, second[1].total.unrealised] == [780, 0]
        (run,) = await books.runs_on(LOCAL_USER, nights.MON)
        accounts = {account.id: account for account in await books.accounts(LOCAL_USER)}
        charges = charges_so_far(FACTS, accounts, run, await books.orders_of_run(LOCAL_USER, run.id))
        by_day = [each[1].parts[0].made.charges for each in (first, second)]
        assert charges["one"] == sum(amount for amount in by_day if amount is not None)


async def test_while_the_day_goes_on_profits_and_positions_are_marked_at_the_last_price(tmp_path: Path) -> None:
    """2 lots of 65: the call sold at 100 stands at 112, the put sold at 80 is unchanged: 130 x 12 = 1,560 lost."""
    seen: list[tuple[Profits, list[Any]]] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:30:30"))
        market = await machine.feed.snapshot(machine.clock.now())
        found = await profits_of(machine.books, FACTS, user_id=LOCAL_USER, day=DAY, today=DAY, market=market)
        marks = Marks(facts=FACTS, market=market)
        held = [marks.of(*each) for each in open_legs(await machine.books.open_runs(LOCAL_USER))]
        seen.append((found, held))

    prices: Prices = {**QUIET, call(): steady("100", at0924="112")}
    await played(record(tmp_path / "days", prices), tmp_path / "data", acts=[look])
    ((found, held),) = seen
    assert [found.total.realised, found.total.unrealised] == [0, -1560]
    assert found.total.mtm == -1560 - (found.total.charges or 0)
    assert [(each.position.leg, each.units, each.mark, each.unrealised) for each in held] == [
        ("1", -2 * LOT, Decimal(112), Decimal(-1560)),
        ("2", -2 * LOT, Decimal(80), Decimal(0)),
    ]
    calls, puts = (each.greeks for each in held)
    assert calls is not None and puts is not None
    assert calls.delta < 0 < puts.delta, "a sold call loses as the index rises, a sold put gains"
    assert calls.theta > 0 and calls.vega < 0 and calls.gamma < 0


async def test_a_position_without_any_price_is_unknown_and_makes_its_sums_unknown() -> None:
    entered = replace(plans.run().positions[0], entered=150, entered_value=Decimal(15000), mark=None)
    run = replace(plans.run(), positions=(entered,), status=RunStatus.ACTIVE)
    held = Marks(facts=FACTS, market=None).of(run, entered)
    assert (held.mark, held.unrealised, held.greeks) == (None, None, None)
    whole = Made(realised=Decimal(5)) + Made(unrealised=held.unrealised)
    assert [whole.net, whole.mtm] == [5, None]


amounts = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9)
thirds = st.fractions(-(10**9), 10**9, max_denominator=65 * 1800).map(
    lambda each: Decimal(each.numerator) / Decimal(each.denominator)
)
maybe = st.one_of(amounts, thirds, st.none())
mades = st.builds(Made, realised=amounts | thirds, unrealised=maybe, charges=maybe)
parts_of_a_day = st.lists(
    st.builds(
        Part,
        basket_id=st.sampled_from("ab"),
        basket=st.just("B"),
        strategy_id=st.sampled_from("stu"),
        strategy=st.just("S"),
        account=st.sampled_from(["one", "two", "three"]),
        made=mades,
    ),
    max_size=12,
)
KEYS: dict[str, Callable[[Part], tuple[str, ...]]] = {
    "strategy": lambda part: (part.basket_id, part.strategy_id, part.account),
    "account": lambda part: (part.account,),
    "basket": lambda part: (part.basket_id,),
    "user": lambda _: (),
}


@given(parts=parts_of_a_day, rounding=st.dictionaries(st.sampled_from(["one", "two"]), maybe))
def test_parts_and_rounding_add_up_to_the_whole_to_the_last_digit(
    parts: list[Part], rounding: dict[str, Decimal | None]
) -> None:
    found = Profits(day=DAY, parts=tuple(parts), rounding=rounding)
    noted = sum((Made(charges=amount) for amount in rounding.values()), Made())
    for key in KEYS.values():
        items = sum(found.by(key).values(), Made())
        assert items + noted == found.total
    known = [part.made.charges for part in parts] + list(rounding.values())
    assert (found.total.charges is None) == (None in known)
    assert found.total.realised == sum(Fraction(part.made.realised) for part in parts)


# ---------------------------------------------------------------- the history in parts


async def whole(books: Books, only: Only, *, newest_first: bool, most: int) -> list[Row]:
    rows: list[Row] = []
    after = None
    for _ in range(10_000):
        part = await part_of(books, LOCAL_USER, *THE_DAY, only, newest_first=newest_first, after=after, most=most)
        assert len(part.rows) <= most
        rows += part.rows
        after = part.after
        if after is None:
            return rows
    raise AssertionError("it never ends")


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
async def test_parts_of_the_history_are_the_audit_from_either_end(tmp_path: Path, most: int) -> None:
    behaviour = {account: replace(UNSTEADY, seed=4) for account in ("one", "two")}
    day = await played(record(tmp_path / "days", MOVING), tmp_path / "data", SPREAD, behaviour=behaviour)
    async with books_of(day.data) as books:
        for only in (Only(), Only(account="two"), Only(run="2026-11-23#x#0")):
            rows = [row async for row in audit(books, LOCAL_USER, *THE_DAY, only)]
            assert await whole(books, only, newest_first=False, most=most) == rows
            assert await whole(books, only, newest_first=True, most=most) == rows[::-1]


async def test_a_filter_that_finds_nothing_looks_through_a_month_at_a_time(books: Books) -> None:
    started = [
        Occurrence(user_id=USER, at=instant("09:00") - timedelta(days=n), what=What.STARTED, cause="process")
        for n in range(400)
    ]
    for first in range(0, 400, 100):
        await books.commit(*map(books.put_occurrence, started[first : first + 100]))
    start, end = instant("09:00") - timedelta(days=399), instant("23:59")
    after, parts = None, 0
    while True:
        part = await part_of(books, USER, start, end, Only(strategies=["nothing"]), after=after)
        assert part.rows == ()
        parts, after = parts + 1, part.after
        if after is None:
            break
    assert parts == 13
    oldest = await part_of(books, USER, start, end, newest_first=False, most=1)
    assert oldest.rows[0].time == started[-1].at


async def test_a_step_that_comes_on_a_later_day_is_found_from_either_end_whatever_brokers_write(books: Books) -> None:
    decided = instant("15:00") - timedelta(days=3)
    for attempt, later in enumerate([None, instant("09:05")]):
        order = advance(plans.order(plans.run(), decided, attempt), OrderState.SENDING, decided)
        told = f'a message with "at":"{instant("09:30").isoformat()}" in it'
        order = advance(order, OrderState.UNKNOWN, decided, message=told)
        if later is not None:
            order = advance(order, OrderState.ABSENT, later)
        await books.commit(books.put_order(order)[0])
    started = Occurrence(user_id=USER, at=instant("09:00"), what=What.RESTARTED, cause="process")
    await books.commit(books.put_occurrence(started))
    for newest_first in (False, True):
        part = await part_of(books, USER, *THE_DAY, newest_first=newest_first)
        rows = [row.what for row in part.rows]
        assert rows == (["order.absent", "restarted"] if newest_first else ["restarted", "order.absent"])


# ---------------------------------------------------------------- lists


def over(day: date, cycle: int = 0, status: RunStatus = RunStatus.CLOSED, name: str = "straddle") -> Run:
    plan = plans.strategy(name)
    return replace(plans.run(USER, plan, cycle), id=run_id(day, name, cycle), date=day, status=status)


async def test_the_runs_of_a_strategy_come_newest_first_whether_over_or_not(books: Books) -> None:
    statuses = (RunStatus.CLOSED, RunStatus.ACTIVE, RunStatus.SKIPPED, RunStatus.FAILED, RunStatus.WAITING)
    runs = [
        over(DAY - timedelta(days=n // 3), cycle=10 * (n % 3), status=statuses[n % len(statuses)]) for n in range(31)
    ]
    for each in [*runs, over(DAY, name="condor"), over(DAY, name="condor", cycle=1, status=RunStatus.ACTIVE)]:
        await books.claim(each)
    wanted = sorted(((run.date, run.cycle) for run in runs), reverse=True)
    for most in (1, 2, 5, 31, 200):
        found: list[Run] = []
        after = None
        while True:
            part = await runs_of_strategy(books, USER, "straddle", after=after, most=most)
            found += part.items
            after = part.after
            if after is None:
                break
            assert len(part.items) == most
        assert [(run.date, run.cycle) for run in found] == wanted
    today = await runs_of_strategy(books, USER, "straddle", day=DAY, most=2)
    assert [run.cycle for run in today.items] == [20, 10]
    rest = await runs_of_strategy(books, USER, "straddle", day=DAY, after=today.after, most=2)
    assert [run.cycle for run in rest.items] == [0]


class Counted(SqliteTable):
    """Counts the items that queries gave."""

    given = 0

    async def query(self, *given: Any, **how: Any) -> Page:
        page = await super().query(*given, **how)
        self.given += len(page.items)
        return page


async def test_fifty_of_a_list_read_no_more_than_they_show_after_years_of_trading(tmp_path: Path) -> None:
    table = Counted.open(tmp_path / "t.db", now=lambda: instant("09:00"), threaded=False, durable=False)
    books = Books(table)
    for n in range(1500):
        await books.claim(over(DAY - timedelta(days=n)), books.put_exit(over(DAY - timedelta(days=n)), _noon(n)))
    alerts = [Alert(user_id=USER, at=instant("09:15") + timedelta(seconds=n), code="c", message="") for n in range(900)]
    orders = [plans.order(over(DAY), instant("09:20") + timedelta(seconds=n), n) for n in range(300)]
    for first in range(0, 900, 100):
        await books.commit(*map(books.put_alert, alerts[first : first + 100]))
    for first in range(0, 300, 100):
        await books.commit(*(books.put_order(each)[0] for each in orders[first : first + 100]))
    lists: dict[str, Callable[[str | None], Awaitable[Any]]] = {
        "runs": lambda after: books.runs_listed(USER, after=after),
        "strategy": lambda after: runs_of_strategy(books, USER, "straddle", after=after),
        "alerts": lambda after: books.alerts_listed(USER, DAY, after=after),
    }
    for name, listed in lists.items():
        first_part = await listed(None)
        table.given = 0
        second = await listed(first_part.after)
        assert len(second.items) == 50, name
        assert table.given <= 52, name
        assert not set(map(id, second.items)) & set(map(id, first_part.items))
    table.given = 0
    found = await books.orders_listed(USER, DAY, most=50)
    assert [each.intent.id for each in found.items] == [each.intent.id for each in orders[:-51:-1]]
    assert table.given <= 1202 + 1, "no more than the day"
    table.given = 0
    await part_of(books, USER, instant("00:00") - timedelta(days=2000), instant("23:59"), most=50)
    assert table.given < 2600, "the day and the week before it, in two stretches"
    await table.close()


def _noon(n: int) -> datetime:
    return instant("12:00") - timedelta(days=n)


async def test_a_file_of_the_format_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    table = SqliteTable.open(path, now=lambda: instant("09:00"), threaded=False)
    books = Books(table)
    runs = [over(DAY, cycle=n, name="income.straddle") for n in (0, 2, 10)]
    for each in runs:
        await books.claim(each)
    await books.claim(over(DAY, status=RunStatus.ACTIVE))
    await table.close()
    old = sqlite3.connect(path)
    old.execute("UPDATE trading_configurations SET gsi2pk = NULL, gsi2sk = NULL WHERE gsi2pk LIKE '%#RUNS#%'")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    table = SqliteTable.open(path, now=lambda: instant("09:00"), threaded=False)
    found = await Books(table).over_listed(USER, "income.straddle")
    assert [run.cycle for run in found.items] == [10, 2, 0]
    assert (await Books(table).over_listed(USER, "straddle")).items == ()
    await table.close()


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="#"), min_size=1, max_size=20)


@given(day=st.dates(), name=names, cycle=st.integers(0, 999))
def test_a_run_s_public_id_names_that_run_and_no_other(day: date, name: str, cycle: int) -> None:
    public = public_run_id(run_id(day, name, cycle))
    assert run_id_of(public) == run_id(day, name, cycle)
    assert "#" not in public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "2026-11-24",
        "2026-11-24~s",
        "2026-11-24~s~x",
        "2026-13-01~s~0",
        "2026-11-24~~0",
        "2026-11-24~s~00",
        "2026-11-24~a#b~0",
        "20261124~s~0",
        "2026-11-24~s~-1 ",
    ],
)
def test_what_is_no_public_run_id_names_nothing(text: str) -> None:
    assert run_id_of(text) is None


# ---------------------------------------------------------------- the schedule of a day


TUE = nights.TUE
"""A day of the calendar on which a weekly expires; the recorded ``DAY`` is a holiday by it."""
SESSION = session_of(DAY, Span.parse("09:15-09:40"))


async def planned(books: Books, **changes: object) -> None:
    """A basket with a straddle at 09:20 on one account."""
    await books.save_basket(USER, plans.basket())
    await books.save_strategy(USER, replace(plans.strategy(), **changes))  # type: ignore[arg-type]
    await books.save_account(USER, BrokerAccount(id="zerodha-1"))
    await books.save_allocation(USER, plans.allocation())


async def entry_on(books: Books, day: date) -> Entry:
    (entry,) = (await agenda_of(books, FACTS, user_id=USER, day=day, market=None)).entries
    return entry


def schedule(**changes: object) -> Schedule:
    return replace(plans.strategy().schedule, **changes)  # type: ignore[arg-type]


LATE = schedule(entry=time(16, 0), exit=time(16, 5))


async def test_a_strategy_that_is_due_shows_its_entry_and_exit_and_no_reason(books: Books) -> None:
    await planned(books)
    entry = await entry_on(books, TUE)
    assert entry.planned is not None
    assert (entry.planned.entry_at, entry.planned.exit_at) == (on(TUE, "09:20"), on(TUE, "15:15"))
    assert (entry.reason, entry.runs, entry.accounts) == (None, (), ("zerodha-1",))


@pytest.mark.parametrize(
    ("changes", "day", "reason", "words"),
    [
        ({"schedule": schedule(days=(Weekday.MON,))}, TUE, Reason.NOT_DUE, "it trades on MON; this is a Tuesday"),
        ({"schedule": schedule(dte=(1, 2))}, TUE, Reason.NOT_DUE, "at DTE 1, 2; its earliest expiry is 0 trading days"),
        ({"paused": True}, TUE, Reason.PAUSED, "straddle ü is paused"),
        ({}, date(2026, 12, 5), Reason.SESSION_CLOSED, "no session on a Saturday"),
        ({}, date(2026, 12, 25), Reason.SESSION_CLOSED, "Christmas is a holiday"),
        (
            {"schedule": schedule(entry=time(16, 0), exit=time(16, 5))},
            TUE,
            Reason.SESSION_CLOSED,
            "outside the session",
        ),
    ],
)
async def test_a_strategy_that_is_not_entered_says_why(
    books: Books, changes: dict[str, object], day: date, reason: Reason, words: str
) -> None:
    await planned(books, **changes)
    entry = await entry_on(books, day)
    assert entry.reason is reason
    assert words in entry.detail


async def test_what_is_killed_or_has_no_lots_is_not_entered(books: Books) -> None:
    await planned(books)
    kill = Kill(user_id=USER, subject=(KillScope.BASKET, "income"), at=instant("09:00"), actor="asha", reason="news")
    await books.save_kill(kill)
    entry = await entry_on(books, TUE)
    assert (entry.reason, entry.detail) == (Reason.KILLED, "basket income was killed by asha: news")
    assert entry.planned is not None, "its plan is due all the same"
    await books.delete_kill(kill, at=instant("09:01"), actor="asha")
    await books.delete_allocation(USER, "straddle.zerodha-1")
    assert (await entry_on(books, TUE)).reason is Reason.ACCOUNT_UNKNOWN


async def test_claimed_runs_and_runs_that_leave_are_on_the_day_whichever_day_they_were_entered(books: Books) -> None:
    await planned(books)
    yesterday = replace(over(TUE - timedelta(days=1), status=RunStatus.ACTIVE), exit_at=on(TUE, "09:30"))
    for each in (replace(over(TUE, status=RunStatus.SCHEDULED), exit_at=on(TUE, "15:15")), yesterday):
        await books.claim(each)
    agenda = await agenda_of(books, FACTS, user_id=USER, day=TUE, market=None)
    assert [run.date for run in agenda.entries[0].runs] == [TUE]
    assert [(run.date, run.exit_at) for run in agenda.exits] == [
        (TUE - timedelta(days=1), on(TUE, "09:30")),
        (TUE, on(TUE, "15:15")),
    ]


async def test_the_agenda_says_what_the_engine_then_does(tmp_path: Path) -> None:
    agendas: list[Agenda] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:01"))
        market = await machine.feed.snapshot(machine.clock.now())
        agendas.append(
            await agenda_of(machine.books, FACTS, user_id=LOCAL_USER, day=DAY, market=market, session=SESSION)
        )

    day = await played(record(tmp_path / "days", QUIET), tmp_path / "data", acts=[look])
    (entry,) = agendas[0].entries
    assert entry.planned is not None
    assert (entry.planned.entry_at, entry.planned.exit_at) == (day.run.entry_at, day.run.exit_at)


# ---------------------------------------------------------------- lots and margin


async def test_lots_and_margin_are_by_account_over_all_strategies(tmp_path: Path) -> None:
    """SPREAD has 2 lots of each leg on one account and 1 on the other; what is together is margined together."""
    found: list[tuple[Allotment, float]] = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:19"))
        market = await machine.feed.snapshot(machine.clock.now())
        value = Valuation(facts=FACTS, snapshot=market)
        two = [
            Holding(contract=call(), units=-2 * LOT, price=Decimal(100)),
            Holding(contract=call(26100), units=2 * LOT, price=Decimal(40)),
        ]
        allotment = await allotment_of(
            machine.books, FACTS, user_id=LOCAL_USER, today=DAY, day=DAY, market=market, session=SESSION
        )
        found.append((allotment, value.margin(two).total))

    await played(record(tmp_path / "days", QUIET), tmp_path / "data", SPREAD, acts=[look])
    ((allotment, margin),) = found
    assert [(part.allocation.account, part.units, part.lots) for part in allotment.parts] == [
        ("one", 2, {"short": 2, "wing": 2}),
        ("two", 1, {"short": 1, "wing": 1}),
    ]
    first, second = allotment.accounts
    assert first.margin is not None and second.margin is not None
    assert (first.lots, second.lots) == (4, 2)
    assert first.margin.total == pytest.approx(margin)
    assert first.margin.total == pytest.approx(2 * second.margin.total)


async def test_what_has_no_price_has_no_margin_and_says_why(books: Books) -> None:
    await planned(books)
    found = await allotment_of(books, FACTS, user_id=USER, today=TUE, day=None, market=None)
    (part,) = found.parts
    assert (part.units, part.lots, part.margin) == (2, {"1": 2}, None)
    assert part.unknown == (Reason.NO_QUOTE, "the market has no prices now")
    assert found.accounts[0].margin is None
    saturday = await allotment_of(books, FACTS, user_id=USER, today=TUE, day=date(2026, 12, 5), market=None)
    assert saturday.parts == ()
