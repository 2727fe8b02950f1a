"""The duplicate check: repeated tags, untagged twins, foreign orders. Each is told once, nothing of ours is."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.contract import Side
from option_baskets.domain.risk import approve
from option_baskets.engine.trading import Pace
from option_baskets.wiring import LOCAL_USER, Embedded
from tests.engine.tiny_day import LOT, QUIET, STRADDLE, call, instant, play_day, record, steady

Order = Callable[[Embedded], Awaitable[None]]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


def ordering(at: datetime, *, times: int = 1, **changes: Any) -> Order:
    """Somebody else orders on the account: the strategy's first order of the day with these changes."""

    async def act(machine: Embedded) -> None:
        await machine.clock.sleep_until(at)
        (run,) = await machine.books.runs_on(LOCAL_USER, at.date())
        orders = await machine.books.orders_of_run(LOCAL_USER, run.id)
        ours = next(order.intent for order in orders if order.intent.leg == "1")
        for _ in range(times):
            await machine.exchange.broker("one").place(approve(replace(ours, **changes)))

    return act


def found(days: Path, data: Path, *acts: Order) -> list[tuple[str, str]]:
    played = play_day(days, data, acts=acts)
    assert played.run.is_flat, "what others do changes nothing for our positions"
    told = [(alert.code, alert.message) for alert in played.day.alerts]
    return [each for each in told if each[0] not in {"external_position", "external_close"}]


def test_a_quiet_day_finds_nothing(days: Path, tmp_path: Path) -> None:
    assert found(days, tmp_path / "data") == []


def test_two_orders_with_one_tag_are_a_duplicate_told_once(days: Path, tmp_path: Path) -> None:
    ((code, message),) = found(days, tmp_path / "data", ordering(instant("09:22")))
    assert code == "duplicate_order"
    assert "SELL 130 NIFTY 24-Nov-2026 26000 CE (20261124-one-000003) on one repeats 20261124-one-00000" in message


def test_a_repeated_tag_changes_nothing_of_our_order(days: Path, tmp_path: Path) -> None:
    """Ours is filled with 130 units at 100; the other one's fill is not ours."""
    played = play_day(days, tmp_path / "data", acts=[ordering(instant("09:22"))])
    assert played.leg("1").entered == 2 * LOT
    assert played.leg("1").exited == 2 * LOT


def test_an_untagged_order_like_ours_within_seconds_is_a_duplicate(days: Path, tmp_path: Path) -> None:
    ((code, message),) = found(days, tmp_path / "data", ordering(instant("09:20:03"), id=""))
    assert code == "duplicate_order"
    assert "has no tag and matches" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "SOMEBODY"},  # a tag that is not ours
        {"id": "", "side": Side.BUY},
        {"id": "", "quantity": LOT},
        {"id": "", "contract": call(26100)},
    ],
    ids=["tag", "side", "quantity", "symbol"],
)
def test_an_order_that_is_not_like_ours_is_foreign(days: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    ((code, message),) = found(days, tmp_path / "data", ordering(instant("09:20:03"), **changes))
    assert code == "foreign_order"
    assert "is not one of ours" in message


def test_an_untagged_order_like_ours_but_later_is_foreign(days: Path, tmp_path: Path) -> None:
    assert [code for code, _ in found(days, tmp_path / "data", ordering(instant("09:24"), id=""))] == ["foreign_order"]


def test_each_of_several_is_told_once(days: Path, tmp_path: Path) -> None:
    acts = [ordering(instant("09:22"), id="", times=2), ordering(instant("09:25"), id="OTHER", times=1)]
    codes = [code for code, _ in found(days, tmp_path / "data", *acts)]
    assert codes == ["foreign_order"] * 3


def test_what_was_told_is_not_told_again_after_a_restart(days: Path, tmp_path: Path) -> None:
    class Gone(SystemExit):
        pass

    async def leave(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:25"))
        raise Gone

    with pytest.raises(Gone):
        play_day(days, tmp_path / "data", acts=[ordering(instant("09:22"), id="OTHER"), leave])
    assert play_day(days, tmp_path / "data", begin=instant("09:25")).alerts == [
        "foreign_order",
        "external_position",
    ]


def test_another_account_with_the_same_order_is_no_duplicate(days: Path, tmp_path: Path) -> None:
    allocation = '  [[strategies.allocations]]\n  account = "two"\n  lots = 2\n'
    basket = STRADDLE.replace("[[strategies]]", '[[accounts]]\nid = "two"\n[[strategies]]') + allocation
    assert play_day(days, tmp_path / "data", basket).alerts == []


def test_an_order_of_ours_that_is_older_than_the_look_back_is_still_ours(tmp_path: Path) -> None:
    """Stopped at 09:21, filled in part there and for the rest at 09:31, when the price is back within its limit."""
    days = record(tmp_path / "days", {**QUIET, call(): steady("100", at0920="130", at0921="150", at0930="130")})

    async def turn_slow(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:20:30"))
        machine.exchange.broker("one", behaviour=Behaviour(partial_fills=1))

    patient = Pace(chase_every=timedelta(minutes=30))
    played = play_day(days, tmp_path / "data", acts=[turn_slow], pace=patient, fills=lambda _: QuotedFills())
    assert played.leg("1").exit_time == instant("09:31")
    assert set(played.alerts) == {"slow_exit"}
