"""Entering: hedges first, all or nothing on each account, every lot accounted for."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.brokers.fills import QuotedFills
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.domain.ids import Action
from option_baskets.domain.order import OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import RunStatus
from option_baskets.engine.rates import Rate
from option_baskets.wiring import Embedded
from tests.engine.small_market import chain
from tests.engine.tiny_day import (
    DAY,
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

SLICED = chain("NIFTY", DAY, range(25700, 26301, 50), lot_size=LOT, freeze_quantity=LOT)
"""At most one lot an order."""


@pytest.fixture
def days(tmp_path: Path) -> Path:
    return record(tmp_path / "days", QUIET)


def by_account(played: Played, account: str, columns: str = "side, strike, state") -> list[tuple[str, ...]]:
    return [row[1:] for row in played.book(f"account, {columns}", "number") if row[0] == account]


def missing(played: Played) -> Counter[tuple[str, str]]:
    """Units not traded, by leg and account."""
    found: Counter[tuple[str, str]] = Counter()
    for short in played.run.shortfalls:
        found[short.leg, short.account] += short.quantity
    return found


def refusing(quiet: Played, leg: str, action: str) -> Behaviour:
    """An account that refuses this one order of a quiet day, and of its unwinding nothing."""
    tags = {(order.intent.leg, str(order.intent.action)): order.intent.id for order in quiet.orders}
    for seed in range(100_000):
        behaviour = Behaviour(seed=seed, rejections=0.3)
        if {name for name, tag in tags.items() if behaviour.rejects(tag)} == {(leg, action)}:
            return behaviour
    raise AssertionError("no such seed")


ALONE = SPREAD.partition('  [[strategies.allocations]]\n  account = "two"')[0]


# ---------------------------------------------------------------- order and quantity


def test_a_short_leg_waits_for_its_hedge_to_fill(days: Path, tmp_path: Path) -> None:
    """The answer to the hedge takes two seconds; the short is placed after it."""
    slow = {"one": Behaviour(latency=timedelta(seconds=2))}
    played = play_day(days, tmp_path / "data", SPREAD, behaviour=slow)
    placed = [row for row in played.book("account, strike, placed_at", "placed_at, number") if row[0] == "one"]
    assert [(strike, at[11:19]) for _, strike, at in placed][:2] == [("26100", "09:20:00"), ("26000", "09:20:02")]
    quick = [at[11:19] for account, at in played.book("account, placed_at") if account == "two"]
    assert quick[:2] == ["09:20:00", "09:20:00"], "a slow account does not hold up another"


def test_lots_are_those_allocated_on_every_account(days: Path, tmp_path: Path) -> None:
    basket = SPREAD.replace("  lots = 1\n", '  leg_lots = { "wing" = 3, "short" = 2 }\n')
    played = play_day(days, tmp_path / "data", basket)
    assert {(p.leg, p.account): p.entered for p in played.run.positions} == {
        ("short", "one"): 2 * LOT,
        ("wing", "one"): 2 * LOT,
        ("short", "two"): 2 * LOT,
        ("wing", "two"): 3 * LOT,
    }
    assert not missing(played)


def test_an_entry_at_t_uses_the_last_close_before_t(tmp_path: Path) -> None:
    """The spot is 26010 until the close of the bar from 09:18 and 26060 in the bar from 09:19: ATM is 26050."""
    prices = {**QUIET, "NIFTY": steady("26010", at0919="26060", at0920="26110"), call(26050): steady("90")}
    prices |= {call(26150): steady("30")}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", ALONE)
    assert played.leg("short").contract == call(26050)
    assert played.leg("wing").contract == call(26150)


def test_large_lots_are_sliced_and_take_more_than_one_commit(tmp_path: Path) -> None:
    """150 lots a leg with one lot an order: 300 entries and 300 exits, every slice once."""
    days = record(tmp_path / "days", QUIET, listings=SLICED)
    played = play_day(days, tmp_path / "data", ALONE.replace("lots = 2", "lots = 150"))
    assert played.run.status is RunStatus.CLOSED
    assert len(played.orders) == 600
    assert {quantity for (quantity,) in played.book("quantity")} == {LOT}
    assert len(set(played.book("tag"))) == 600
    assert {played.leg(leg).entered for leg in ("short", "wing")} == {150 * LOT}
    assert played.alerts == []


# ---------------------------------------------------------------- refusals, partial fills, lost answers


def test_a_rejected_hedge_leaves_no_short_sent(days: Path, tmp_path: Path) -> None:
    quiet = play_day(days, tmp_path / "quiet", ALONE)
    played = play_day(days, tmp_path / "data", ALONE, behaviour={"one": refusing(quiet, "wing", "ENTER")})
    assert by_account(played, "one") == [("BUY", "26100", "REJECTED")]
    assert missing(played) == {("short", "one"): 2 * LOT, ("wing", "one"): 2 * LOT}
    assert {short.reason for short in played.run.shortfalls} == {Reason.BROKER_REJECTED}
    assert (played.run.status, played.run.reason) == (RunStatus.FAILED, Reason.BROKER_REJECTED)


def test_a_rejected_short_unwinds_its_hedge(days: Path, tmp_path: Path) -> None:
    quiet = play_day(days, tmp_path / "quiet", ALONE)
    played = play_day(days, tmp_path / "data", ALONE, behaviour={"one": refusing(quiet, "short", "ENTER")})
    assert by_account(played, "one") == [
        ("BUY", "26100", "FILLED"),
        ("SELL", "26000", "REJECTED"),
        ("SELL", "26100", "FILLED"),
    ]
    assert played.leg("wing").exit_reason is ExitReason.UNWIND
    assert played.leg("wing").exit_time == instant("09:20")
    assert missing(played) == {("short", "one"): 2 * LOT}
    assert played.run.status is RunStatus.FAILED


def test_a_failing_account_changes_nothing_for_another(days: Path, tmp_path: Path) -> None:
    played = play_day(days, tmp_path / "data", SPREAD, behaviour={"one": Behaviour(rejections=1)})
    assert by_account(played, "one") == [("BUY", "26100", "REJECTED")]
    assert len(by_account(played, "two")) == 4
    assert played.leg("short", "two").exit_reason is ExitReason.TIME
    assert played.run.status is RunStatus.CLOSED
    assert missing(played) == {("short", "one"): 2 * LOT, ("wing", "one"): 2 * LOT}


def test_one_rejected_leg_of_a_straddle_closes_the_other(tmp_path: Path) -> None:
    days = record(tmp_path / "days", QUIET)
    quiet = play_day(days, tmp_path / "quiet", STRADDLE)
    played = play_day(days, tmp_path / "data", STRADDLE, behaviour={"one": refusing(quiet, "2", "ENTER")})
    assert played.leg("1").exit_reason is ExitReason.UNWIND
    assert played.run.is_flat
    assert missing(played) == {("2", "one"): 2 * LOT}


def test_partial_fills_are_waited_for_and_the_short_comes_after_the_whole_hedge(tmp_path: Path) -> None:
    """The exchange fills a lot at once and the rest at the next minute; the grace is five minutes."""
    days = record(tmp_path / "days", QUIET)
    basket = ALONE.replace('exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 300')
    played = play_day(days, tmp_path / "data", basket, behaviour={"one": Behaviour(partial_fills=1)})
    assert played.run.status is RunStatus.CLOSED
    placed = {(side, strike): at[11:16] for side, strike, at in reversed(played.book("side, strike, placed_at"))}
    assert placed["BUY", "26100"] == "09:20"
    assert placed["SELL", "26000"] == "09:21"
    assert not missing(played)
    assert len(played.book("tag")) == 4
    assert {order.state for order in played.orders} == {OrderState.FILLED}


def test_what_is_not_filled_within_the_grace_is_cancelled_and_unwound(tmp_path: Path) -> None:
    """Of two lots one fills at once at 40; the other would at 09:21, but 60 is beyond the cap of 42."""
    days = record(tmp_path / "days", {**QUIET, call(26100): steady("40", at0920="60")})
    partial = {"one": Behaviour(partial_fills=1)}
    played = play_day(days, tmp_path / "data", ALONE, behaviour=partial, fills=lambda _: QuotedFills())
    assert played.leg("wing").entered == LOT
    assert missing(played) == {("wing", "one"): LOT, ("short", "one"): 2 * LOT}
    assert {short.reason for short in played.run.shortfalls} == {Reason.PRICE_MOVED}
    assert [side for (side,) in played.book("side")][:1] == ["BUY"]
    assert not [row for row in by_account(played, "one") if row[1] == "26000"], "no short was sent"
    assert played.run.is_flat
    assert played.run.status is RunStatus.FAILED


@pytest.mark.parametrize("seed", range(4))
def test_faults_of_every_kind_never_double_an_order_and_never_leave_a_short_alone(tmp_path: Path, seed: int) -> None:
    """Rejections, partial fills, lost answers and latency at once, on both accounts."""
    days = record(tmp_path / "days", QUIET)
    basket = SPREAD.replace("lots = 1\n", "lots = 3\n").replace(
        'exit = "09:35"', 'exit = "09:35"\nentry_grace_seconds = 180'
    )
    faults = {
        account: Behaviour(
            seed=10 * seed + number,
            rejections=0.25,
            partial_fills=0.5,
            lost_answers=0.5,
            latency=timedelta(milliseconds=300),
            jitter=timedelta(seconds=1),
        )
        for number, account in enumerate(("one", "two"))
    }
    played = play_day(days, tmp_path / "data", basket, behaviour=faults)
    book = {tag: (state, filled) for tag, state, filled in played.book("tag, state, filled")}
    assert len(book) == len(played.book("tag"))
    assert book == {order.intent.id: (order.state, order.filled) for order in played.orders if order.broker_order_id}
    assert played.run.is_flat
    wanted = {("short", "one"): 2, ("wing", "one"): 2, ("short", "two"): 3, ("wing", "two"): 3}
    for (leg, account), lots in wanted.items():
        assert played.leg(leg, account).entered + missing(played)[leg, account] == lots * LOT
    for account in ("one", "two"):
        if (played.leg("short", account)).entered:
            assert played.leg("wing", account).entered == wanted["wing", account] * LOT


# ---------------------------------------------------------------- the rate


def test_an_entry_keeps_to_the_rate_and_leaves_tokens_for_exits(tmp_path: Path) -> None:
    """40 orders at 7 a second (3 of 10 are kept): the hedges take from 09:20:00 to :02, the shorts wait for them."""
    days = record(tmp_path / "days", QUIET, listings=SLICED)
    peaks = []

    async def look(machine: Embedded) -> None:
        await machine.clock.sleep_until(instant("09:30"))
        peaks.append(machine.exchange.broker("one").peak_calls)
        await machine.clock.sleep_until(instant("09:39"))
        peaks.append(machine.exchange.broker("one").peak_calls)

    played = play_day(days, tmp_path / "data", ALONE.replace("lots = 2", "lots = 20"), rate=Rate(), acts=[look])
    assert peaks == [7, 10]
    entered = Counter(at[11:19] for side, strike, at in played.book("side, strike, placed_at") if at[11:16] == "09:20")
    assert entered == {"09:20:00": 7, "09:20:01": 7, "09:20:02": 7, "09:20:03": 7, "09:20:04": 7, "09:20:05": 5}
    hedges = {at for side, strike, at in played.book("side, strike, placed_at") if (side, strike) == ("BUY", "26100")}
    shorts = {at for side, strike, at in played.book("side, strike, placed_at") if (side, strike) == ("SELL", "26000")}
    assert max(hedges) <= min(shorts)
    assert played.run.status is RunStatus.CLOSED


def test_an_entry_that_cannot_be_sent_within_its_grace_is_refused(tmp_path: Path) -> None:
    """600 orders at 7 a second are 86 seconds; the grace is 60. The other account's part is entered."""
    days = record(tmp_path / "days", QUIET, listings=SLICED)
    played = play_day(days, tmp_path / "data", SPREAD.replace("lots = 2", "lots = 300"), rate=Rate())
    assert by_account(played, "one") == []
    assert missing(played) == {("short", "one"): 300 * LOT, ("wing", "one"): 300 * LOT}
    assert {short.reason for short in played.run.shortfalls} == {Reason.RATE_LIMIT}
    assert played.leg("short", "two").entered == LOT
    assert played.run.status is RunStatus.CLOSED


def test_an_account_over_its_brokers_rate_is_told_so_and_nothing_is_doubled(tmp_path: Path) -> None:
    """Eight hedges at seven a second to a broker that allows five: what it refused never existed there."""
    days = record(tmp_path / "days", QUIET, listings=SLICED)
    strict = {"one": Behaviour(max_calls_per_second=5)}
    played = play_day(days, tmp_path / "data", ALONE.replace("lots = 2", "lots = 8"), rate=Rate(), behaviour=strict)
    assert played.run.is_flat
    assert len(set(played.book("tag"))) == len(played.book("tag"))
    refused = [order for order in played.orders if order.reason is Reason.ACCOUNT_UNAVAILABLE]
    assert refused
    assert not {order.intent.id for order in refused} & {tag for (tag,) in played.book("tag")}
    assert played.leg("wing").entered == played.leg("short").entered == 8 * LOT
    assert not missing(played)


def test_an_entry_that_never_arrived_is_ordered_anew_and_its_short_follows(tmp_path: Path) -> None:
    """The wing's first attempt is lost on the line: absent after three looks in thirty seconds, then another order."""
    days = record(tmp_path / "days", QUIET)
    lossy = {"one": Behaviour(seed=14, lost_requests=0.5)}
    played = play_day(days, tmp_path / "data", ALONE, behaviour=lossy)
    wings = sorted((each for each in played.orders if each.intent.leg == "wing"), key=lambda each: each.intent.attempt)
    entries = [(each.intent.attempt, each.state) for each in wings if each.intent.action is Action.ENTER]
    assert entries == [(0, OrderState.ABSENT), (1, OrderState.FILLED)]
    assert played.leg("wing").entered == played.leg("short").entered == 2 * LOT
    assert (played.leg("short").entry_time or instant("09:20")) >= instant("09:20:30")
    assert played.run.status is RunStatus.CLOSED


# ---------------------------------------------------------------- why not


def test_a_run_without_an_eligible_strike_is_skipped_and_nothing_is_sent(tmp_path: Path) -> None:
    prices: Prices = {"NIFTY": steady("26010"), call(): steady("100", end="09:18"), call(26100): steady("40")}
    played = play_day(record(tmp_path / "days", prices), tmp_path / "data", ALONE)
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.STALE_QUOTE)
    assert played.book("tag") == []
    assert [(refusal.reason, refusal.at) for refusal in played.day.refusals] == [(Reason.STALE_QUOTE, instant("09:20"))]


def test_steps_from_the_money_need_more_than_one_strike(tmp_path: Path) -> None:
    listed = chain("NIFTY", DAY, [26000], lot_size=LOT)
    days = record(tmp_path / "days", {"NIFTY": steady("26010"), call(): steady("100")}, listings=listed)
    played = play_day(days, tmp_path / "data", ALONE.replace('rule = "atm"', 'rule = "atm", offset = 1'))
    assert (played.run.status, played.run.reason) == (RunStatus.SKIPPED, Reason.NO_ELIGIBLE_STRIKE)
    assert "1 strikes listed" in played.run.detail
    assert played.alerts == []


def test_the_price_known_at_the_minute_caps_how_far_an_entry_is_chased(days: Path, tmp_path: Path) -> None:
    """5 % of 100 is 5, so a SELL goes no lower than 95; of 40, 2 rupees, so a BUY no higher than 42."""
    played = play_day(days, tmp_path / "data", ALONE)
    caps = {order.intent.leg: order.intent.cap for order in played.orders if order.intent.action == "ENTER"}
    assert caps == {"short": Decimal(95), "wing": Decimal(42)}
