"""What a shift has to know of the shifts before it, and of accounts nobody has looked at today."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.domain.contract import Contract, Side, contract_of
from option_baskets.domain.dynamic import Result
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Intent
from option_baskets.domain.reasons import Reason
from option_baskets.domain.risk import approve
from option_baskets.domain.run import Run
from option_baskets.engine.standing import Standing, subject_of
from option_baskets.engine.trading import Pace
from option_baskets.engine.units import result_of
from option_baskets.store.records import Alert
from option_baskets.wiring import LOCAL_USER
from tests.engine.shifts import Shop
from tests.engine.test_reconcile import PRICES, by_hand
from tests.engine.tiny_day import DAY, FACTS, LOT, QUIET, STRADDLE, call, instant, play_day, record

Trade = tuple[str, Side, Contract]


def intent_by_hand(shop: Shop, side: Side, contract: Contract) -> Intent:
    return Intent(
        id="",
        user_id=LOCAL_USER,
        run_id="",
        strategy_id="",
        leg="",
        account="one",
        entry_number=0,
        action=Action.ENTER,
        attempt=0,
        slice_number=0,
        contract=contract,
        side=side,
        quantity=LOT,
        limit=PRICES[contract],
        decided_at=shop.clock.now(),
    )


async def traded_by_hand(shop: Shop, at: str, side: Side, contract: Contract) -> None:
    """What the broker's own app does, at a time at which no shift is at work."""
    await shop.clock.sleep_until(instant(at))
    exchange = await shop.exchange(LOCAL_USER)
    await exchange.broker("one", user=LOCAL_USER).place(approve(intent_by_hand(shop, side, contract)))
    await exchange.close()


def day_of_shifts(tmp_path: Path, *by_hand: Trade, **how: Any) -> tuple[list[Run], list[Alert]]:
    """A day, with orders by hand at their times."""

    async def main(clock: SimulatedClock) -> tuple[list[Run], list[Alert]]:
        shop = Shop(data=tmp_path, days=tmp_path / "days", clock=clock, **how)
        try:
            await shop.adopt(LOCAL_USER, parse_basket("format = 1\n" + STRADDLE, FACTS.names))
            await asyncio.gather(shop.play(), *(traded_by_hand(shop, *each) for each in by_hand))
            return await shop.books.runs_on(LOCAL_USER, DAY), await shop.books.alerts(LOCAL_USER, DAY)
        finally:
            await shop.close()

    return run_simulated(main, instant("09:00"))


def test_nothing_is_entered_where_an_account_holds_what_is_not_ours_though_no_shift_has_seen_it(
    tmp_path: Path,
) -> None:
    days = record(tmp_path / "days", QUIET)
    (tmp_path / "one").mkdir()
    played = play_day(days, tmp_path / "one", acts=[by_hand("09:16:30", call(), Side.BUY, LOT)])
    assert played.run.reason is Reason.EXTERNAL_POSITION
    (run,), _ = day_of_shifts(tmp_path, ("09:16:30", Side.BUY, call()))
    assert (run.status, run.reason) == (played.run.status, played.run.reason)


def test_what_is_not_ours_is_told_once_and_again_when_it_is_gone(tmp_path: Path) -> None:
    record(tmp_path / "days", QUIET)
    (run,), alerts = day_of_shifts(tmp_path, ("09:22:30", Side.BUY, call(26100)), ("09:28:30", Side.SELL, call(26100)))
    told = [alert.subject for alert in alerts if alert.code == "external_position"]
    assert told == [subject_of(call(26100), LOT), subject_of(call(26100), 0)]
    assert not any(position.open for position in run.positions)


@pytest.mark.parametrize("units", [LOT, -LOT])
def test_what_an_alert_says_of_an_account_is_what_it_is_remembered_by(units: int) -> None:
    standing = Standing()
    standing.remember(subject_of(call(), units))
    assert standing.apart == {call(): units}
    standing.remember(subject_of(call(), 0))
    assert standing.apart == {}
    assert contract_of(call().key).name == call().name
    future = replace(call(), strike=None, type=type(call().type)("FUT"))
    assert contract_of(future.key) == future


def test_an_account_that_cannot_be_read_for_minutes_is_told_once_an_outage(tmp_path: Path) -> None:
    record(tmp_path / "days", QUIET)
    outages = tuple(Outage(start=instant(at), lasts=timedelta(minutes=3)) for at in ("09:22:30", "09:30:30"))
    _, alerts = day_of_shifts(tmp_path, behaviour={"one": Behaviour(outages=outages)})
    told = [alert.at for alert in alerts if alert.code == "order_book_unread"]
    assert [f"{at:%H:%M}" for at in told] == ["09:23", "09:31"]


def test_a_sold_leg_without_prices_is_told_once_until_they_come_again(tmp_path: Path) -> None:
    prices = dict(QUIET)
    prices[call()] = {f"09:{minute}": "100" for minute in range(15, 40) if not (22 <= minute < 26 or 29 <= minute < 33)}
    record(tmp_path / "days", prices)
    _, alerts = day_of_shifts(tmp_path, pace=Pace(blind_after=timedelta(seconds=90)))
    told = [alert.at for alert in alerts if alert.code == "blind"]
    assert len(told) == 2


def test_whoever_divides_units_without_accounts_counts_the_same_charges(tmp_path: Path) -> None:
    record(tmp_path / "days", QUIET)

    async def main(clock: SimulatedClock) -> tuple[Result, Result]:
        shop = Shop(data=tmp_path, days=tmp_path / "days", clock=clock)
        try:
            await shop.adopt(LOCAL_USER, parse_basket("format = 1\n" + STRADDLE, FACTS.names))
            await shop.play()
            (run,) = await shop.books.runs_on(LOCAL_USER, DAY)
            accounts = {(LOCAL_USER, each.id): each for each in await shop.books.accounts(LOCAL_USER)}
            knowing, dispatching = shop.trading(shop.books, accounts), shop.trading(shop.books, {})
            return await result_of(knowing, run), await result_of(dispatching, run)
        finally:
            await shop.close()

    knowing, dispatching = run_simulated(main, instant("09:00"))
    assert knowing.net < 0
    assert dispatching == knowing


def test_an_order_given_up_is_looked_for_after_its_run_is_over(tmp_path: Path) -> None:
    """The entry's answers are lost, and the book shows it after minutes: it is closed, though no run was open."""
    record(tmp_path / "days", QUIET)
    slow = Behaviour(seed=3, lost_updates=1, slow_book=timedelta(minutes=8))

    async def main(clock: SimulatedClock) -> tuple[list[Run], list[Alert]]:
        lost = replace(slow, lost_answers=1)
        shop = Shop(data=tmp_path, days=tmp_path / "days", clock=clock, behaviour={"one": lost})

        async def answered_again() -> None:
            await clock.sleep_until(instant("09:20:30"))
            shop.behaviour = {"one": slow}

        try:
            await shop.adopt(LOCAL_USER, parse_basket("format = 1\n" + STRADDLE, FACTS.names))
            await asyncio.gather(shop.play(), answered_again())
            return await shop.books.runs_on(LOCAL_USER, DAY), await shop.books.alerts(LOCAL_USER, DAY)
        finally:
            await shop.close()

    (run,), alerts = run_simulated(main, instant("09:00"))
    assert any(alert.code == "absent_order_found" for alert in alerts)
    assert any(position.entered for position in run.positions)
    assert not any(position.open for position in run.positions)
