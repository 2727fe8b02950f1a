"""Limits over several days: a day's loss begins at the last close's marks, and a basket's highest outlives days.

The straddle is in options of December: the call is sold at 100 and the put at 80, 130 units each. The orders that sell
them cost 92.14 (tests/engine/test_limits.py works it out).
"""

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path

import pytest

from option_baskets.adapters.basket_file import parse_basket
from option_baskets.adapters.brokers.fills import RecordedFills
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.day import Watch
from option_baskets.engine.report import DayRecord, as_json
from option_baskets.wiring import Embedded, Market, play
from tests.engine.test_limits import limited
from tests.engine.test_recovery import Killed
from tests.engine.tiny_day import FACTS, Prices, call, put, record, steady

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)
DECEMBER = date(2026, 12, 29)
HELD = 'exit = "09:30"\nholding = "next_day"\ndays = ["MON"]'
MONTHLY = 'underlying = "NIFTY"\nexpiry = { series = "monthly" }'


def basket(exit_: str = 'exit = "09:30"', **limits: str) -> str:
    return limited(**limits).replace('exit = "09:35"', exit_).replace('underlying = "NIFTY"', MONTHLY)


def recorded(folder: Path, **calls: dict[str, str]) -> RecordedFeed:
    """Days by name, each with the changes of the call's price; it begins at 100."""
    days = {"monday": MONDAY, "tuesday": TUESDAY, "wednesday": WEDNESDAY}
    for name, changes in calls.items():
        start = changes.pop("start", "100")
        prices: Prices = {
            "NIFTY": steady("26010"),
            call(expiry=DECEMBER): steady(start, **changes),
            put(expiry=DECEMBER): steady("80"),
        }
        record(folder, prices, day=days[name])
    return RecordedFeed(folder)


def played(
    feed: RecordedFeed, data: Path, text: str, days: Sequence[date], watch: Watch = lambda _, __: None
) -> list[DayRecord]:
    """These days, traded by one process over what an earlier one left in ``data``."""
    sessions = [feed.session(day) for day in days]
    by_day = {session.date: session for session in sessions}

    async def main(clock: SimulatedClock) -> list[DayRecord]:
        market = Market(
            feed=feed,
            fills=RecordedFills(feed),
            is_trading=lambda _, at: at.date() in by_day and by_day[at.date()].is_open(at),
        )
        machine = Embedded(data=data, market=market, clock=clock, facts=FACTS, rate=None, threaded=False, durable=False)
        try:
            await machine.adopt([parse_basket("format = 1\n" + text, FACTS.names)])
            return await play(machine, sessions, watch=watch)
        finally:
            await machine.close()

    return run_simulated(main, sessions[0].starts)


def legs(day: DayRecord) -> list[str]:
    """What was closed that day, and why."""
    return [
        f"{leg.exit_reason} {leg.exit_time:%d %H:%M} {leg.exit_price:.2f}"
        for each in day.runs
        for leg in each.run.positions
        if leg.exit_time is not None
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_days_loss_begins_at_the_marks_of_the_close_before(tmp_path: Path, processes: int) -> None:
    """Monday ends 3,992.14 down with the call at 130. On Tuesday 38.45 x 130 = 4,998.50 more are not 5,000, 38.50 are:
    5,005. The first minutes of Tuesday have no price, and the marks of Monday stand in for it."""
    feed = recorded(
        tmp_path / "days",
        monday={"at0925": "130"},
        tuesday={"start": "150", "at0920": "168.45", "at0924": "168.50"},
    )
    text = basket(HELD, allocation="max_daily_loss = 5000")
    if processes == 1:
        days = played(feed, tmp_path / "data", text, [MONDAY, TUESDAY])
    else:
        days = [day for each in (MONDAY, TUESDAY) for day in played(feed, tmp_path / "data", text, [each])]
    assert legs(days[-1]) == ["allocation_stop 24 09:25 168.50", "allocation_stop 24 09:25 80.00"]
    assert [(fence.day, f"{fence.loss:.2f}") for day in days for fence in day.fences] == [(TUESDAY, "5005.00")]


DRAWDOWN = basket(basket="max_drawdown_percent = 1")
"""1 % of 500,000: 5,000."""


def falling(folder: Path) -> RecordedFeed:
    """On Monday 20 x 130 = 2,600 are lost, on Tuesday 17 x 130 = 2,210 by 09:22 and 22 x 130 by 09:26."""
    return recorded(
        folder, monday={"at0924": "120"}, tuesday={"at0922": "117", "at0926": "122"}, wednesday={"at0922": "90"}
    )


def test_a_fall_over_days_is_one_fall_and_holds_until_the_limit_is_raised(tmp_path: Path) -> None:
    """Monday's charges are 92.14 and, buying back for 26,000, 59.04: 2,751.18 below the start. On Tuesday 2,210 and
    92.14 make 5,053.32. On Wednesday the basket is still so far down, and enters nothing."""
    feed = falling(tmp_path / "days")
    days = played(feed, tmp_path / "data", DRAWDOWN, [MONDAY, TUESDAY, WEDNESDAY])
    assert legs(days[0]) == ["time 23 09:30 120.00", "time 23 09:30 80.00"]
    assert legs(days[1]) == ["basket_stop 24 09:23 117.00", "basket_stop 24 09:23 80.00"]
    assert (days[2].runs[0].run.status, days[2].runs[0].run.reason) == (RunStatus.SKIPPED, Reason.BASKET_STOPPED)
    assert [fence.day for day in days for fence in day.fences] == [TUESDAY, WEDNESDAY]
    raised = DRAWDOWN.replace("max_drawdown_percent = 1", "max_drawdown_percent = 2")
    other = played(feed, tmp_path / "raised", raised, [MONDAY, TUESDAY, WEDNESDAY])
    assert [fence for day in other for fence in day.fences] == []


def test_a_process_a_day_finds_the_highest_where_it_was(tmp_path: Path) -> None:
    feed = falling(tmp_path / "days")
    days = [MONDAY, TUESDAY, WEDNESDAY]
    whole = played(feed, tmp_path / "whole", DRAWDOWN, days)
    each = [record for day in days for record in played(feed, tmp_path / "each", DRAWDOWN, [day])]
    assert json.dumps(as_json(each)) == json.dumps(as_json(whole))


@pytest.mark.usefixtures("burial")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_lost_on_a_day_whose_close_nobody_saw_counts(tmp_path: Path) -> None:
    """The process of Monday dies at 09:33, when the run is over and the session is not."""
    feed = falling(tmp_path / "days")

    def dies(at: datetime, _: Sequence[Run]) -> None:
        if at >= datetime.combine(MONDAY, time(9, 33), IST):
            raise Killed

    with pytest.raises(Killed):
        played(feed, tmp_path / "data", DRAWDOWN, [MONDAY], watch=dies)
    (tuesday,) = played(feed, tmp_path / "data", DRAWDOWN, [TUESDAY])
    assert legs(tuesday) == ["basket_stop 24 09:23 117.00", "basket_stop 24 09:23 80.00"]
