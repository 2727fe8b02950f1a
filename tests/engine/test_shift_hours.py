"""Shifts over a day's edges: what lasts too long, what comes on another day, and what nobody was sent for."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.brokers.paper_behaviour import Behaviour, Outage
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.messages import CHECK, COMPARE, EVENING, work_message
from option_baskets.store.records import Leave
from option_baskets.wiring import LOCAL_USER
from tests.engine.nights import MON, TUE, days, on
from tests.engine.nights import call as month_call
from tests.engine.nights import put as month_put
from tests.engine.shifts import Shop
from tests.engine.tiny_day import DAY, FACTS, QUIET, STRADDLE, Prices, call, instant, put, record, steady

OVERNIGHT = STRADDLE.replace(
    'exit = "09:35"', 'exit = "09:35"\nholding = "next_day"\nproduct = "NRML"\nexpiry = { series = "monthly" }'
)


MONTHLY = 'exit = "09:35"\nexpiry = { series = "monthly" }'


def at_work(shop: Shop, basket: str, act: Callable[[], Awaitable[Any]]) -> Any:
    """What ``act`` makes, with the plans of a file stored."""

    async def work() -> Any:
        try:
            await shop.adopt(LOCAL_USER, parse_basket("format = 1\n" + basket, FACTS.names))
            return await act()
        finally:
            await shop.close()

    return work()


def test_a_shift_hands_over_before_its_time_is_over_and_the_exit_is_still_filled(tmp_path: Path) -> None:
    folder = record(tmp_path / "days", QUIET)
    out = Behaviour(outages=(Outage(start=instant("09:34:30"), lasts=timedelta(minutes=4)),))

    async def main(clock: SimulatedClock) -> Shop:
        shop = Shop(data=tmp_path, days=folder, clock=clock, behaviour={"one": out}, longest=timedelta(seconds=50))

        async def act() -> None:
            await shop.play()
            (run,) = await shop.books.runs_on(LOCAL_USER, DAY)
            assert run.status is RunStatus.CLOSED
            assert not any(position.open for position in run.positions)
            await shop.look_back(LOCAL_USER)

        await at_work(shop, STRADDLE, act)
        return shop

    shop = run_simulated(main, instant("09:00"))
    assert max(lasted for _, lasted in shop.lasted) < timedelta(seconds=75)
    assert not shop.held


def test_nothing_is_ordered_after_the_close(tmp_path: Path) -> None:
    """The account comes back at the close with a leg still held: that is told, and no order is sent for it."""
    month = date(2026, 12, 29)
    prices: Prices = {"NIFTY": steady("26010"), call(expiry=month): steady("100"), put(expiry=month): steady("80")}
    folder = record(tmp_path / "days", prices)
    out = Behaviour(outages=(Outage(start=instant("09:34:30"), lasts=timedelta(minutes=5, seconds=30)),))

    async def main(clock: SimulatedClock) -> Shop:
        shop = Shop(data=tmp_path, days=folder, clock=clock, behaviour={"one": out})

        async def act() -> None:
            await shop.play()
            await shop.look_back(LOCAL_USER)
            alerts = await shop.books.alerts(LOCAL_USER, DAY)
            assert "not_closed" in {alert.code for alert in alerts}

        await at_work(shop, STRADDLE.replace('exit = "09:35"', MONTHLY), act)
        return shop

    shop = run_simulated(main, instant("09:00"))
    assert shop.held
    assert [entry.placed_at for entry in shop.book if entry.placed_at >= shop.session.close] == []


def test_a_request_to_leave_is_found_by_the_next_check_where_nobody_was_sent_for(tmp_path: Path) -> None:
    folder = record(tmp_path / "days", QUIET)

    async def main(clock: SimulatedClock) -> None:
        shop = Shop(data=tmp_path, days=folder, clock=clock)

        async def act() -> None:
            await shop.play(until=instant("09:25"))
            (run,) = await shop.books.runs_on(LOCAL_USER, DAY)
            await shop.books.save_leave(
                Leave(user_id=LOCAL_USER, strategy_id=run.strategy.id, at=clock.now(), actor="me", reason="")
            )
            for event in shop.events(instant("09:25")):
                await clock.sleep_until(event.at)
                await shop._handled(event)
            await shop.quiet()
            (run,) = await shop.books.runs_on(LOCAL_USER, DAY)
            assert run.status is RunStatus.CLOSED
            assert {position.exit_reason for position in run.positions} == {ExitReason.MANUAL}

        await at_work(shop, STRADDLE, act)

    run_simulated(main, instant("09:00"))


def carried(folder: Path, data: Path, act: Callable[[Shop, SimulatedClock], Awaitable[None]]) -> None:
    """A run is entered on Monday and held; ``act`` begins on Tuesday at 08:00 with what it left."""
    prices: Prices = {"NIFTY": steady("26010"), month_call(): steady("100"), month_put(): steady("80")}
    days(folder, {MON: prices, TUE: prices})

    async def monday(clock: SimulatedClock) -> None:
        shop = Shop(data=data, days=folder, clock=clock, day=MON)
        await at_work(shop, OVERNIGHT, shop.play)

    async def tuesday(clock: SimulatedClock) -> None:
        shop = Shop(data=data, days=folder, clock=clock, day=TUE)
        try:
            await act(shop, clock)
        finally:
            await shop.close()

    run_simulated(monday, on(MON, "09:00"))
    run_simulated(tuesday, on(TUE, "08:00"))


def test_a_morning_with_something_held_keeps_no_process_waiting_for_prices(tmp_path: Path) -> None:
    async def act(shop: Shop, clock: SimulatedClock) -> None:
        await shop.play()
        assert shop.lasted
        assert max(lasted for _, lasted in shop.lasted) < timedelta(minutes=1)
        (run,) = await shop.books.runs_on(LOCAL_USER, MON)
        assert run.status is RunStatus.CLOSED

    carried(tmp_path / "days", tmp_path, act)


def test_what_an_earlier_day_has_left_in_the_inbox_ends_no_other_day_and_checks_nothing_out_of_hours(
    tmp_path: Path,
) -> None:
    async def act(shop: Shop, clock: SimulatedClock) -> None:
        (before,) = await shop.books.runs_on(LOCAL_USER, MON)
        assert not before.status.is_over
        left = [
            work_message(EVENING, LOCAL_USER, on(MON, "09:40")),
            work_message(CHECK, LOCAL_USER, on(MON, "09:39")),
            work_message(COMPARE, LOCAL_USER, on(MON, "09:39")),
        ]
        await shop.books.commit(*map(shop.queue.write, left))
        await shop.queue.sent(left)
        await shop.quiet()
        assert not shop.failures
        assert not await shop.inbox.waiting(LOCAL_USER)
        assert not await shop.books.carried_on(LOCAL_USER, TUE)
        (after,) = await shop.books.runs_on(LOCAL_USER, MON)
        assert after == before

    carried(tmp_path / "days", tmp_path, act)
