"""Every reason for which a leg is closed, once: its orders are in the exchange's own book, filled, and leave it flat.

The call is sold at 100 and the put at 80 at 09:20, 2 lots of 65 each, 130 units. What a kill switch and a person close,
and what is closed outside, have their tests where they are.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from option_baskets.domain.ids import Action
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import RunStatus
from tests.engine.nights import MON, TUE, days, settle, trade
from tests.engine.test_entry import ALONE, refusing
from tests.engine.test_limits import limited
from tests.engine.test_out_rules import PLAIN, STOP, legs
from tests.engine.test_overnight import EXPIRING, WEEKLY
from tests.engine.tiny_day import LOT, Bars, Played, Prices, call, play_day, put, record, steady

UNITS = 2 * LOT
TRAIL = 'stop = { points = 30 }\ntrail = { unit = "points", every = 10, by = 5 }'
FALLS, RISES = steady("100", at0923="70"), steady("100", at0923="140")


@dataclass(frozen=True)
class Case:
    """A day on which the call is closed for one reason, and what it then was bought back at, by hand."""

    basket: str
    call: Bars
    at: str
    price: str


CASES = {
    ExitReason.TIME: Case(PLAIN, RISES, "09:35", "140"),
    ExitReason.STOP: Case(legs(STOP), RISES, "09:24", "140"),  # at or above 125
    ExitReason.TARGET: Case(legs("target = { points = 30 }"), FALLS, "09:24", "70"),
    # 70 is three steps of 10 in favour: the stop has come from 130 to 115.
    ExitReason.TRAIL: Case(legs(TRAIL), steady("100", at0923="70", at0925="115"), "09:26", "115"),
    # 40 x 130 = 5,200 lost; 30 x 130 = 3,900 made.
    ExitReason.STRATEGY_STOP: Case(legs(strategy="stop = { rupees = 5200 }"), RISES, "09:24", "140"),
    ExitReason.STRATEGY_TARGET: Case(legs(strategy="target = { rupees = 3900 }"), FALLS, "09:24", "70"),
    # 3,900 made arms it, 1,300 is left at 90.
    ExitReason.LOCK: Case(
        legs(strategy="lock = { at = 3900, keep = 1300 }"), steady("100", at0923="70", at0925="90"), "09:26", "90"
    ),
    # The put's own target, at 60, takes the call with it.
    ExitReason.SQUARE_OFF: Case(
        legs("", 'target = { points = 20 }\nsquare_off = "all"'), steady("100", at0923="99"), "09:24", "99"
    ),
    ExitReason.ALLOCATION_STOP: Case(limited(allocation="max_daily_loss = 5000"), RISES, "09:24", "140"),
    ExitReason.ACCOUNT_STOP: Case(limited(account="max_daily_loss = 5000"), RISES, "09:24", "140"),
    ExitReason.BASKET_STOP: Case(limited(basket="max_daily_loss = 5000"), RISES, "09:24", "140"),
}


def closed(played: Played, leg: str, reason: ExitReason) -> tuple[int, str, str]:
    """Units, instant and price of the leg's exit as the exchange has them, by the tags of the orders that were sent
    for this reason; once every contract on every account is seen to be flat there."""
    tags = {
        order.intent.id
        for order in played.orders
        if (order.intent.leg, order.intent.action, order.intent.cause) == (leg, Action.EXIT, reason)
    }
    assert tags
    rows = played.book("tag, account, strike || type, side, state, filled, value, placed_at")
    held: dict[tuple[str, str], int] = {}
    for _, account, contract, side, _, filled, _, _ in rows:
        held[account, contract] = held.get((account, contract), 0) + (filled if side == "BUY" else -filled)
    assert held and set(held.values()) == {0}
    own = [row for row in rows if row[0] in tags]
    assert {row[0] for row in own} == tags
    assert {row[4] for row in own} == {"FILLED"}
    units, value = sum(row[5] for row in own), sum(float(row[6]) for row in own)
    (at,) = {row[7][11:16] for row in own}
    return units, at, f"{value / units:g}"


@pytest.mark.parametrize("reason", CASES, ids=str)
def test_the_exits_orders_are_filled_at_the_exchange_and_the_account_is_flat(
    tmp_path: Path, reason: ExitReason
) -> None:
    case = CASES[reason]
    of_put = steady("80", at0923="60") if reason is ExitReason.SQUARE_OFF else steady("80")
    prices: Prices = {"NIFTY": steady("26010"), call(): case.call, put(): of_put}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", case.basket)
    assert closed(played, "1", reason) == (UNITS, case.at, case.price)
    assert played.leg("1").exit_reason is reason
    assert played.run.status is RunStatus.CLOSED


def test_what_a_failed_entry_left_is_sold_again(tmp_path: Path) -> None:
    """The exchange refuses the short; the wing, bought at 40 for it, is sold at once."""
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100"), put(): steady("80"), call(26100): steady("40")}
    folder = record(tmp_path / "days", prices)
    quiet = play_day(folder, tmp_path / "quiet", ALONE)
    played = play_day(folder, tmp_path / "data", ALONE, behaviour={"one": refusing(quiet, "short", "ENTER")})
    assert closed(played, "wing", ExitReason.UNWIND) == (UNITS, "09:20", "40")
    assert played.run.status is RunStatus.FAILED


def test_what_expires_is_settled_at_the_exchange_without_an_order(tmp_path: Path) -> None:
    """The index settles at 26,040: the call pays 40, the put nothing. There are the two orders that sold them."""
    folder = days(tmp_path / "days", {MON: WEEKLY, TUE: WEEKLY})
    settle(folder, TUE, "26040")
    nights = trade(folder, tmp_path / "data", EXPIRING)
    assert {position.exit_reason for position in nights.run(TUE).positions} == {ExitReason.EXPIRY}
    assert nights.book("SELECT side, filled FROM orders") == [("SELL", UNITS)] * 2
    settled = nights.book("SELECT type, units, price FROM events WHERE kind = 'settlement' ORDER BY type")
    assert settled == [("CE", UNITS, "40"), ("PE", UNITS, "0")]
    assert nights.held_at_the_exchange == {}


def test_every_reason_there_is_was_seen_here_or_is_of_people_limits_of_users_and_kill_switches() -> None:
    elsewhere = {ExitReason.KILL, ExitReason.MANUAL, ExitReason.EXTERNAL, ExitReason.BLIND, ExitReason.USER_STOP}
    assert set(ExitReason) == {*CASES, ExitReason.UNWIND, ExitReason.EXPIRY, *elsewhere}
