"""Accounts beside our books: what others did in the broker's own app, what came late, and what cannot be read."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from option_baskets.adapters.brokers.fills import QuotedFills, RecordedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Fault, Outage
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.drift import drifts
from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Intent, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.risk import approve
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.day import TradingDay
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.reconcile import holdings, reconcile
from option_baskets.engine.report import as_json
from option_baskets.engine.standing import Standing
from option_baskets.engine.trading import Pace, Trading
from option_baskets.store.records import Level
from option_baskets.wiring import LOCAL_USER, PAPER_FILE, Embedded, Market
from tests.engine.tiny_day import (
    DAY,
    FACTS,
    LOT,
    QUIET,
    SPREAD,
    STRADDLE,
    Act,
    Played,
    call,
    instant,
    play_day,
    put,
    record,
    steady,
)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), QUIET)


PRICES = {call(): Decimal(100), put(): Decimal(80), call(26100): Decimal(40), put(26100): Decimal(120)}


async def order_by_hand(
    machine: Embedded, contract: Contract, side: Side, quantity: int, *, account: str = "one", tag: str = ""
) -> None:
    """What the broker's own app does: an order that is in no journal of ours."""
    intent = Intent(
        id=tag,
        user_id=LOCAL_USER,
        run_id="",
        strategy_id="",
        leg="",
        account=account,
        entry_number=0,
        action=Action.ENTER,
        attempt=0,
        slice_number=0,
        contract=contract,
        side=side,
        quantity=quantity,
        limit=PRICES[contract],
        decided_at=machine.clock.now(),
    )
    await machine.exchange.broker(account).place(approve(intent))


def by_hand(at: str, contract: Contract, side: Side, quantity: int, *, account: str = "one", tag: str = "") -> Act:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(at))
        await order_by_hand(machine, contract, side, quantity, account=account, tag=tag)

    return act


def ours(played: Played, *, leg: str, action: str = "EXIT") -> list[tuple[str, int]]:
    """Our orders of a leg that the exchange has: state and units filled."""
    tags = {each.intent.id for each in played.orders if (each.intent.leg, each.intent.action.value) == (leg, action)}
    return [(state, filled) for tag, state, filled in played.book("tag, state, filled") if tag in tags]


def net(data: Path) -> dict[tuple[str, str, str], int]:
    """What the exchange's own book says every account holds: (account, strike, type) → units."""
    book = sqlite3.connect(data / PAPER_FILE)
    rows = book.execute("SELECT account, strike, type, IIF(side = 'BUY', filled, -filled) FROM orders").fetchall()
    book.close()
    units: Counter[tuple[str, str, str]] = Counter()
    for account, strike, type_, signed in rows:
        units[account, strike, type_] += signed
    return {where: held for where, held in units.items() if held}


# ---------------------------------------------------------------- what a person closes


def test_a_leg_that_a_person_squares_off_leaves_our_book_and_is_not_closed_again(days: Path, tmp_path: Path) -> None:
    """The sold call, 2 lots at 100, is bought back at 09:25:30; nobody orders anything for it at 09:35."""
    played = play_day(days, tmp_path, acts=[by_hand("09:25:30", call(), Side.BUY, 2 * LOT)])
    leg = played.leg("1")
    assert (leg.exit_reason, leg.open, leg.exit_price) == (ExitReason.EXTERNAL, 0, Decimal(100))
    assert [(each.quantity, each.price) for each in leg.external] == [(2 * LOT, Decimal(100))]
    assert leg.external[0].priced_at is not None
    assert leg.exit_time is not None
    assert leg.exit_time - instant("09:25:30") < timedelta(seconds=10), "its update has us look at once"
    assert ours(played, leg="1") == []
    assert ours(played, leg="2") == [("FILLED", 2 * LOT)]
    assert net(tmp_path) == {}
    assert played.alerts == ["foreign_order", "external_close"]
    assert played.run.status is RunStatus.CLOSED


def test_it_is_in_the_record_of_the_day_with_the_fields_the_page_has(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path, acts=[by_hand("09:25:30", call(), Side.BUY, LOT)])
    (session,) = json.loads(json.dumps(as_json([played.day])))["sessions"]
    (entry,) = session["runs"][0]["external"]
    page = (Path(__file__).parent.parent.parent / "docs" / "replay-json.md").read_text(encoding="utf-8")
    section = page.partition("`$.sessions[].runs[].external[]`")[2].partition("\n## ")[0]
    assert list(entry) == [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert (entry["quantity"], entry["price"], entry["at"]) == (LOT, "100.0000", "2026-11-24T09:25:35+05:30")


def test_without_its_update_it_is_found_within_the_minute_and_confirmed_by_a_second_reading(
    days: Path, tmp_path: Path
) -> None:
    played = play_day(
        days,
        tmp_path,
        acts=[by_hand("09:25:30", call(), Side.BUY, 2 * LOT)],
        behaviour={"one": Behaviour(lost_updates=1)},
    )
    assert played.leg("1").exit_time == instant("09:26:05")
    assert net(tmp_path) == {}


def test_half_a_leg_that_a_person_closes_leaves_the_other_half_to_its_rules(tmp_path: Path) -> None:
    """One of two lots is bought back at 100; the call reaches its stop of 125 at 09:30 and the other is closed."""
    prices = {**QUIET, call(): steady("100", at0929="130", at0931="131")}
    days = record(tmp_path / "days", prices)
    played = play_day(days, tmp_path / "data", acts=[by_hand("09:25:30", call(), Side.BUY, LOT)])
    leg = played.leg("1")
    assert (leg.exit_reason, leg.exited, leg.external[0].quantity) == (ExitReason.STOP, 2 * LOT, LOT)
    assert ours(played, leg="1") == [("FILLED", LOT)]
    assert leg.gross == -30 * LOT, "nothing on the lot counted at 100, 30 rupees a unit on the one we closed"
    assert net(tmp_path / "data") == {}


def test_cover_that_a_person_sells_is_critical_and_the_short_keeps_its_exit(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path, SPREAD, acts=[by_hand("09:25:30", call(26100), Side.SELL, 2 * LOT)])
    (alert,) = [each for each in played.day.alerts if each.code == "external_close"]
    assert alert.level is Level.CRITICAL
    assert "130 units of sold CE have no cover now" in alert.message
    assert played.leg("short").exit_reason is ExitReason.TIME
    assert ours(played, leg="wing") == [("FILLED", LOT)], "that of the other account"
    assert net(tmp_path) == {}


def test_what_a_person_closed_while_no_process_was_there_is_known_before_anything_is_sent(
    days: Path, tmp_path: Path
) -> None:
    """Gone at 09:30 and back at 09:36, after the exit was due: it is for what is still held."""
    with pytest.raises(Gone):
        play_day(days, tmp_path, acts=[die_at("09:30")])
    at_the_exchange(days, tmp_path, "09:31", by_hand("09:31", call(), Side.BUY, 2 * LOT))
    played = play_day(days, tmp_path, begin=instant("09:36"))
    assert (played.leg("1").exit_reason, played.leg("2").exit_reason) == (ExitReason.EXTERNAL, ExitReason.TIME)
    assert ours(played, leg="1") == []
    assert net(tmp_path) == {}


class Gone(SystemExit):
    """Ends the loop at once, as a signal ends a process."""


def die_at(gone: str) -> Act:
    async def leave(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(gone))
        raise Gone

    return leave


def at_the_exchange(days: Path, data: Path, begin: str, *acts: Act) -> None:
    """What happens at the exchange while no engine runs."""
    feed = RecordedFeed(days)
    session = feed.session(DAY)

    async def main(clock: SimulatedClock) -> None:
        market = Market(feed=feed, fills=RecordedFills(feed), is_trading=lambda _, at: session.is_open(at))
        machine = Embedded(data=data, market=market, clock=clock, facts=FACTS, rate=None, threaded=False, durable=False)
        try:
            for act in acts:
                await act(machine)
        finally:
            await machine.close()

    run_simulated(main, instant(begin))


# ---------------------------------------------------------------- what a person opens

LATER = STRADDLE + (
    STRADDLE[STRADDLE.index("[[strategies]]") :]
    .replace('"straddle"', '"later"')
    .replace('entry = "09:20"', 'entry = "09:30"')
)
"""The same straddle once more, at 09:30."""


def runs(played: Played) -> dict[str, Run]:
    return {each.run.strategy.name: each.run for each in played.day.runs}


def test_what_a_person_opens_is_shown_and_left_alone_and_nothing_is_entered_beside_it(
    days: Path, tmp_path: Path
) -> None:
    played = play_day(days, tmp_path, LATER, acts=[by_hand("09:25:30", call(), Side.SELL, LOT, tag="APP")])
    assert runs(played)["straddle"].status is RunStatus.CLOSED
    later = runs(played)["later"]
    assert (later.status, later.reason) == (RunStatus.SKIPPED, Reason.EXTERNAL_POSITION)
    assert "one holds -65 NIFTY 24-Nov-2026 26000 CE that are not ours" in later.detail
    assert played.alerts == ["foreign_order", "external_position"]
    assert net(tmp_path) == {("one", "26000", "CE"): -LOT}
    assert [row for row in played.book("tag, state, filled") if row[0] == "APP"] == [("APP", "FILLED", LOT)]


def test_once_it_is_gone_the_contract_is_entered_again(days: Path, tmp_path: Path) -> None:
    acts = [by_hand("09:25:30", call(), Side.SELL, LOT), by_hand("09:28", call(), Side.BUY, LOT)]
    played = play_day(days, tmp_path, LATER, acts=acts)
    assert runs(played)["later"].status is RunStatus.CLOSED
    assert played.alerts.count("external_position") == 2, "that it is there, and that it is gone"
    assert net(tmp_path) == {}


def test_more_of_it_is_told_again_and_what_was_told_is_not_after_a_restart(tmp_path: Path) -> None:
    days = record(tmp_path / "days", {**QUIET, put(26100): steady("120")})
    acts = [by_hand(at, put(26100), Side.BUY, LOT) for at in ("09:22:30", "09:24:30")]
    with pytest.raises(Gone):
        play_day(days, tmp_path / "data", acts=[*acts, die_at("09:28")])
    assert play_day(days, tmp_path / "data", begin=instant("09:28")).alerts.count("external_position") == 2


# ---------------------------------------------------------------- what of ours comes late

HIDDEN = Behaviour(seed=1, lost_answers=1, lost_updates=1, slow_book=timedelta(minutes=8))
"""Every order is taken, and nobody hears of it until the order book shows it, up to eight minutes later."""


def turning(at: str, behaviour: Behaviour, account: str = "one") -> Act:
    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant(at))
        machine.exchange.broker(account, behaviour=behaviour)

    return act


def hiding(days: Path, data: Path, basket: str, leg: str, action: Action) -> Behaviour:
    """HIDDEN with a seed by which the first order of this leg is in the book after two minutes at the earliest."""
    played = play_day(days, data, basket)
    (tag,) = (each.intent.id for each in played.orders if (each.intent.leg, each.intent.action) == (leg, action))
    seeds = (replace(HIDDEN, seed=seed) for seed in range(100))
    return next(each for each in seeds if each.draw(tag, Fault.SLOW_BOOK) > 0.25)


def test_exits_that_show_up_after_others_took_their_place_are_netted_back(tmp_path: Path) -> None:
    """The stop at 09:22 is ordered again after what the exchange has filled unseen; that is netted back."""
    prices = {**QUIET, call(): steady("100", at0921="130")}
    days = record(tmp_path / "days", prices)
    hidden = hiding(days, tmp_path / "plain", STRADDLE, "1", Action.EXIT)
    acts = [turning("09:21:30", hidden), turning("09:23:30", Behaviour())]
    played = play_day(days, tmp_path / "data", acts=acts)
    orders = [each for each in played.orders if (each.intent.leg, each.intent.action) == ("1", Action.EXIT)]
    bought = sum(each.filled for each in orders if each.intent.side is Side.BUY)
    sold = sum(each.filled for each in orders if each.intent.side is Side.SELL)
    assert bought >= 2 * 2 * LOT, "the position was turned round"
    assert bought - sold == 2 * LOT
    assert played.leg("1").open == 0
    assert played.leg("1").gross == -30 * 2 * LOT, "and back at the same price"
    assert "exit_overfilled" in played.alerts
    assert net(tmp_path / "data") == {}


def test_an_entry_that_shows_up_after_its_run_was_over_is_closed_and_told(days: Path, tmp_path: Path) -> None:
    """All entries of the spread's hedge are absent after the grace, and in the book some minutes later."""
    played = play_day(days, tmp_path, SPREAD, behaviour={"one": HIDDEN}, acts=[turning("09:23", Behaviour())])
    wing = played.leg("wing")
    assert wing.entered
    assert wing.open == 0
    assert "late_fill" in played.alerts
    assert played.leg("short").entered == 0
    assert net(tmp_path) == {}
    assert played.run.status is RunStatus.CLOSED


def test_an_entry_found_after_another_took_its_place_is_closed_again_and_the_other_kept(
    days: Path, tmp_path: Path
) -> None:
    """The call is absent after 30 s and sold again; the first is found filled at last, and as much is bought back."""
    basket = STRADDLE.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 120')
    hidden = hiding(days, tmp_path / "plain", basket, "1", Action.ENTER)
    acts = [turning("09:20:15", replace(hidden, lost_answers=0)), turning("09:24", Behaviour())]
    played = play_day(days, tmp_path / "data", basket, behaviour={"one": hidden}, acts=acts)
    leg = played.leg("1")
    assert (leg.entered, leg.late, leg.open, leg.exit_reason) == (4 * LOT, 2 * LOT, 0, ExitReason.TIME)
    exits = [each.intent for each in played.orders if (each.intent.leg, each.intent.action) == ("1", Action.EXIT)]
    assert sorted((each.cause, each.quantity, each.decided_at < instant("09:26")) for each in exits) == [
        (ExitReason.TIME, 2 * LOT, False),
        (ExitReason.UNWIND, 2 * LOT, True),
    ]
    assert "late_fill" in played.alerts
    assert net(tmp_path / "data") == {}


# ---------------------------------------------------------------- what cannot be read, or is not shown


def test_an_account_that_is_out_is_told_once_and_delays_no_other(days: Path, tmp_path: Path) -> None:
    """Out from 09:24 to 09:29. Meanwhile a person closes on the other account; on this one it is found afterwards."""
    out = Behaviour(outages=(Outage(start=instant("09:24"), lasts=timedelta(minutes=5)),))
    played = play_day(
        days,
        tmp_path,
        SPREAD,
        behaviour={"two": out},
        acts=[by_hand("09:25:30", call(), Side.BUY, 2 * LOT)],
    )
    assert played.alerts.count("order_book_unread") == 1
    closed = played.leg("short").exit_time
    assert closed is not None
    assert closed < instant("09:25:40")
    assert net(tmp_path) == {}


def test_what_was_done_while_an_account_was_out_is_known_when_it_is_back(days: Path, tmp_path: Path) -> None:
    out = Behaviour(outages=(Outage(start=instant("09:26"), lasts=timedelta(minutes=3)),))

    async def close_behind_it(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:27"))
        machine.exchange.broker("one", behaviour=Behaviour())
        await order_by_hand(machine, call(), Side.BUY, 2 * LOT)
        machine.exchange.broker("one", behaviour=out)

    mute = replace(out, lost_updates=1)
    played = play_day(days, tmp_path, behaviour={"one": mute}, acts=[close_behind_it])
    assert played.leg("1").exit_reason is ExitReason.EXTERNAL
    assert "foreign_order" in played.alerts
    assert net(tmp_path) == {}


def test_an_order_of_ours_that_the_book_does_not_show_is_flagged_after_three_readings(tmp_path: Path) -> None:
    """The stop's order rests from 09:21 on, half filled, and the book hides it for minutes."""
    prices = {**QUIET, call(): steady("100", at0920="130", at0921="150", at0933="130")}
    days = record(tmp_path / "days", prices)
    hiding_book = Behaviour(seed=3, partial_fills=1, slow_book=timedelta(minutes=60))
    played = play_day(
        days,
        tmp_path / "data",
        acts=[turning("09:20:30", hiding_book)],
        pace=Pace(chase_every=timedelta(minutes=30)),
        fills=lambda _: QuotedFills(),
    )
    told = [each for each in played.day.alerts if each.code == "order_missing"]
    (alert,) = [each for each in told if "26000 CE" in each.message]
    assert alert.level is Level.CRITICAL
    assert timedelta(seconds=30) <= alert.at - instant("09:21") <= timedelta(minutes=2)
    assert [order.state for order in played.orders if order.intent.id == alert.subject] == [OrderState.FILLED]


def counting(calls: Counter[str]) -> type[Embedded]:
    """A machine that counts how often accounts are read, and how often the store is asked for orders after the open."""

    class Counting(Embedded):
        async def trading_day(self, *given: Any) -> TradingDay:
            day = await super().trading_day(*given)
            for account, broker in self.exchange.accounts.items():
                for name in ("orders", "positions"):
                    setattr(broker, name, self.counted(getattr(broker, name), f"{account[1]} {name}"))
            for name in ("orders_between", "order"):
                setattr(self.books, name, self.counted(getattr(self.books, name), "store", since=instant("09:15")))
            return day

        def counted(
            self, function: Callable[..., Any], name: str, *, since: datetime | None = None
        ) -> Callable[..., Any]:
            async def call_it(*given: Any) -> Any:
                if since is None or self.clock.now() >= since:
                    calls[name] += 1
                return await function(*given)

            return call_it

    return Counting


def test_a_quiet_day_reads_two_things_a_minute_and_asks_the_store_nothing(days: Path, tmp_path: Path) -> None:
    calls: Counter[str] = Counter()
    play_day(days, tmp_path, SPREAD, machine_of=counting(calls))
    minutes = 25 + 1  # and once at the start
    assert calls == {f"{account} {what}": minutes for account in ("one", "two") for what in ("orders", "positions")}


def test_accounts_are_read_every_minute_of_the_lunch_break_too(tmp_path: Path) -> None:
    hours = record(tmp_path / "days", {"NIFTY": steady("26010", "12:55", "13:20")}, hours="12:55-13:20")
    calls: Counter[str] = Counter()
    day = play_day(hours, tmp_path / "data", SPREAD, machine_of=counting(calls)).day
    assert day.events["CheckDuplicateOrders"] == 5 + 5 + 10, "every other minute from 13:00 to 13:10"
    assert calls["one positions"] == 25 + 1


def test_whoever_asks_gets_how_the_accounts_stand_and_has_it_settled(days: Path, tmp_path: Path) -> None:
    """Two readings five seconds apart, without waiting for the minute."""
    found: list[tuple[datetime, Mapping[AccountKey, Standing]]] = []

    class Asking(Embedded):
        trading: Trading

        async def trading_day(self, *given: Any) -> TradingDay:
            day = await super().trading_day(*given)
            self.trading = day.trading
            return day

    async def ask(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25:10"))
        assert isinstance(machine, Asking)
        await order_by_hand(machine, call(), Side.BUY, 3 * LOT)
        found.append((machine.clock.now(), await reconcile(machine.trading)))
        found.append((machine.clock.now(), await reconcile(machine.trading, [(LOCAL_USER, "two")])))

    mute = {account: Behaviour(lost_updates=1) for account in ("one", "two")}
    played = play_day(days, tmp_path, SPREAD, behaviour=mute, acts=[ask], machine_of=Asking)
    assert [list(standings) for _, standings in found] == [
        [(LOCAL_USER, "one"), (LOCAL_USER, "two")],
        [(LOCAL_USER, "two")],
    ]
    assert found[1][0] == instant("09:25:15")
    assert played.leg("short").exit_time == instant("09:25:15")
    assert found[0][1][LOCAL_USER, "one"].apart == {call(): LOT}
    assert found[0][1][LOCAL_USER, "two"].is_settled


def test_a_start_does_not_wait_for_what_others_opened(days: Path, tmp_path: Path) -> None:
    """Both accounts stand apart from the first reading on; the exit that is overdue is sent at once."""
    with pytest.raises(Gone):
        play_day(days, tmp_path, acts=[die_at("09:30")])
    at_the_exchange(days, tmp_path, "09:31", by_hand("09:31", call(26100), Side.BUY, LOT))
    played = play_day(days, tmp_path, begin=instant("09:36"))
    assert played.leg("1").exit_time == instant("09:36")
    assert "external_position" in played.alerts


# ---------------------------------------------------------------- whatever happens

ACCOUNTS = ("one", "two")
CONTRACTS = (call(), call(26100), put())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An order in the broker's own app."""

    second: int
    """After 09:20."""
    account: str
    contract: Contract
    side: Side
    lots: int
    tag: str

    @property
    def at(self) -> datetime:
        return instant("09:20") + timedelta(seconds=self.second)

    async def do(self, machine: Embedded) -> None:
        if machine.clock.now() > self.at:
            return
        await machine.clock.sleep_until(self.at)
        quantity = self.lots * LOT
        with suppress(Unavailable, Unclear):  # the account is as bad for others
            await order_by_hand(machine, self.contract, self.side, quantity, account=self.account, tag=self.tag)


DEEDS = st.builds(
    Deed,
    second=st.integers(1, 9 * 60),
    account=st.sampled_from(ACCOUNTS),
    contract=st.sampled_from(CONTRACTS),
    side=st.sampled_from(Side),
    lots=st.integers(1, 3),
    tag=st.sampled_from(["", "APP"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """How an account behaves."""

    seed: int
    lost: float
    out: int
    """When its outage begins, seconds after 09:20."""
    lasts: int

    @property
    def behaviour(self) -> Behaviour:
        outage = Outage(start=instant("09:20") + timedelta(seconds=self.out), lasts=timedelta(seconds=self.lasts))
        return Behaviour(
            seed=self.seed,
            lost_answers=self.lost,
            lost_requests=self.lost / 2,
            lost_updates=self.lost,
            doubled_updates=self.lost,
            late_updates=self.lost,
            crossed_cancels=self.lost,
            slow_book=timedelta(seconds=20),
            outages=(outage,),
        )


BAD = st.builds(
    Bad,
    seed=st.integers(0, 99),
    lost=st.sampled_from([0.0, 0.3, 0.7]),
    out=st.integers(0, 8 * 60),
    lasts=st.sampled_from([0, 20, 90]),
)

STOPPED = SPREAD.replace('strike = { rule = "atm" }', 'strike = { rule = "atm" }\n  stop = { percent = 25 }')
"""As SPREAD, and the sold call is stopped at 09:28; the wing goes at 09:35."""


@pytest.fixture(scope="module")
def stopped_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("days"), {**QUIET, call(): steady("100", at0927="140")})


@given(
    st.lists(DEEDS, max_size=5),
    st.tuples(BAD, BAD),
    st.lists(st.integers(1, 9 * 60), max_size=2).map(sorted),
    st.sampled_from([SPREAD, STOPPED]),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_after_quiet_minutes_our_book_is_the_exchanges_and_what_is_not_ours_is_as_it_was(
    stopped_days: Path,
    tmp_path_factory: pytest.TempPathFactory,
    deeds: list[Deed],
    bad: tuple[Bad, Bad],
    deaths: list[int],
    basket: str,
) -> None:
    data = tmp_path_factory.mktemp("data")
    behaviour = {account: each.behaviour for account, each in zip(ACCOUNTS, bad, strict=True)}
    begin = None
    for death in deaths:
        gone = instant("09:20") + timedelta(seconds=death)
        acts = [*(each.do for each in deeds), die_at(f"{gone:%H:%M:%S}")]
        if begin is None or begin < gone:
            with pytest.raises(Gone):
                play_day(stopped_days, data, basket, behaviour=behaviour, begin=begin, acts=acts)
            begin = gone + timedelta(seconds=1)
            deeds = [each for each in deeds if each.at > begin]
    acts = [*(each.do for each in deeds), assert_nothing_is_still_ours_that_others_closed]
    played = play_day(stopped_days, data, basket, behaviour=behaviour, begin=begin, acts=acts)
    assert played.run.status.is_over, played.run.status
    assert_the_journal_is_the_exchanges_book(played)
    assert_positions_are_our_fills(played)
    others = [row for row in played.book("tag, state, modifications") if row[0] in {"", "APP"}]
    assert all((state, changes) in {("FILLED", 0), ("REJECTED", 0)} for _, state, changes in others), "left alone"


async def assert_nothing_is_still_ours_that_others_closed(machine: Embedded) -> None:
    """At 09:34, minutes after the last deed, fault and death, and before the exits."""
    await machine.clock.sleep_until(instant("09:34:30"))
    runs = await machine.books.runs_on(LOCAL_USER, DAY)
    orders = [order for run in runs for order in await machine.books.orders_of_run(LOCAL_USER, run.id)]
    for account in ACCOUNTS:
        held = await machine.exchange.broker(account).positions()
        mine = holdings(runs).get((LOCAL_USER, account), {})
        for contract, drift in drifts(mine, held, DAY).items():
            places = {(order.intent.account, order.intent.contract) for order in orders if not order.state.is_final}
            assert drift.closed == 0 or (account, contract) in places, (account, drift)


def assert_the_journal_is_the_exchanges_book(played: Played) -> None:
    """Each order of ours is there once, as the journal has it, or it is not there and the journal knows of no fill."""
    rows = {tag: (state, filled) for tag, state, filled in played.book("tag, state, filled")}
    tags = Counter(tag for (tag,) in played.book("tag"))
    for order in played.orders:
        tag = order.intent.id
        assert tags[tag] <= 1, f"{tag} was ordered {tags[tag]} times"
        if tag in rows:
            assert rows[tag] == (order.state.value, order.filled)
        else:
            assert not order.filled


def assert_positions_are_our_fills(played: Played) -> None:
    """Every unit of a position was entered by an order, and left by one, or was closed by others; and none is left."""
    for position in played.run.positions:
        of = [each for each in played.orders if (each.intent.leg, each.intent.account) == position.key[:2]]
        entered = sum(each.filled for each in of if each.intent.action is Action.ENTER)
        out = [each for each in of if each.intent.action is Action.EXIT]
        exited = sum(each.filled * (1 if each.intent.side is not position.side else -1) for each in out)
        external = sum(each.quantity for each in position.external)
        assert (position.entered, position.exited, position.open) == (entered, exited + external, 0)
