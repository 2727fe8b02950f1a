"""Drift: what of a difference was closed by others, what they opened, and which positions lose it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.drift import Drift, drifts, reductions, uncovered
from option_baskets.domain.external import External
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Fill
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run, RunStatus, with_external, with_fills
from tests.engine.plans import order, run
from tests.engine.tiny_day import DAY, LOT, call, instant, put

UNITS = st.integers(-5, 5).map(lambda lots: lots * LOT)
KEY = ("1", "one", 0)


def drift(ours: int, held: int) -> Drift:
    return Drift(contract=call(), ours=ours, held=held)


@pytest.mark.parametrize(
    ("ours", "held", "closed", "opened"),
    [
        (-130, 0, 130, 0),
        (-130, -65, 65, 0),
        (-130, 65, 130, 65),
        (-130, -195, 0, -65),
        (130, 65, 65, 0),
        (130, -65, 130, -65),
        (130, 195, 0, 65),
        (0, 65, 0, 65),
    ],
)
def test_what_takes_from_our_net_was_closed_and_the_rest_was_opened(
    ours: int, held: int, closed: int, opened: int
) -> None:
    assert (drift(ours, held).closed, drift(ours, held).opened) == (closed, opened)


@given(UNITS, UNITS)
def test_our_book_never_grows_and_what_is_left_of_it_is_in_what_the_broker_holds(ours: int, held: int) -> None:
    each = drift(ours, held)
    left = ours - (each.closed if ours > 0 else -each.closed)
    assert 0 <= each.closed <= abs(ours)
    assert left + each.opened == held
    assert Drift(contract=call(), ours=left, held=held).closed == 0, "what is left is not closed again"
    assert left * each.opened >= 0, "nobody holds against us in one net"


def test_only_contracts_that_differ_and_have_not_expired_have_drifted() -> None:
    old = replace(call(), expiry=DAY - timedelta(days=7))
    ours = {call(): -LOT, put(): LOT, old: LOT}
    assert drifts(ours, {call(): -LOT}, DAY) == {put(): Drift(contract=put(), ours=LOT, held=0)}


# ---------------------------------------------------------------- which positions


def held(*, lots: int = 2, side: Side = Side.SELL, minute: str = "09:20", **changes: object) -> LegPosition:
    position = LegPosition(
        leg="1",
        account="one",
        entry_number=0,
        contract=call(),
        side=side,
        lots=lots,
        lot_size=LOT,
        freeze_quantity=None,
        tick=Decimal("0.05"),
        entered=lots * LOT,
        entered_value=Decimal(100) * lots * LOT,
        entry_time=instant(minute),
        entry_final=True,
    )
    return replace(position, **changes)  # type: ignore[arg-type]


def holding(name: str, *positions: LegPosition) -> Run:
    return replace(run(), id=name, status=RunStatus.ACTIVE, positions=positions)


def test_the_position_entered_first_goes_first_and_those_of_the_other_side_stay() -> None:
    runs = [
        holding("a", held(minute="09:30")),
        holding("b", held(minute="09:20", lots=1)),
        holding("c", held(side=Side.BUY, lots=1)),
        holding("d", held(minute="09:10", account="two")),
    ]
    found = [(each.run_id, each.quantity) for each in reductions(runs, "one", drift(-2 * LOT, -30))]
    assert found == [("b", LOT), ("a", 100 - LOT)]


def external(quantity: int) -> External:
    return External(quantity=quantity, price=Decimal(90), priced_at=None, at=instant("09:30"))


def test_a_position_closed_in_part_stays_open_without_a_reason_and_in_whole_is_external() -> None:
    half = with_external(holding("a", held()), KEY, external(LOT))
    assert (half.position(KEY).open, half.position(KEY).exit_reason, half.status) == (LOT, None, RunStatus.ACTIVE)
    whole = with_external(half, KEY, external(LOT))
    assert (whole.position(KEY).exit_reason, whole.status) == (ExitReason.EXTERNAL, RunStatus.CLOSED)
    assert whole.position(KEY).gross == (100 - 90) * 2 * LOT


def test_the_rule_that_closed_first_stays_the_reason() -> None:
    after = with_external(holding("a", held(exit_reason=ExitReason.STOP)), KEY, external(2 * LOT))
    assert after.position(KEY).exit_reason is ExitReason.STOP


def filled(state: Run, side: Side, units: int, price: int) -> Run:
    ordered = replace(
        order(state, instant("09:30")).intent,
        leg="1",
        account="one",
        entry_number=0,
        action=Action.EXIT,
        contract=call(),
        side=side,
        quantity=units,
    )
    fill = Fill(intent_id=ordered.id, quantity=units, value=Decimal(price) * units, at=instant("09:31"), number=0)
    return with_fills(state, [(ordered, fill)])


def test_a_fill_of_ours_that_was_taken_for_a_persons_counts_once_at_its_own_price() -> None:
    taken = with_external(holding("a", held()), KEY, external(2 * LOT))
    position = filled(taken, Side.BUY, 2 * LOT, 95).position(KEY)
    assert (position.open, position.external, position.gross) == (0, (), Decimal(5 * 2 * LOT))


def test_an_exit_filled_twice_turns_the_position_and_is_netted_back_to_nothing() -> None:
    once = filled(holding("a", held(exit_reason=ExitReason.TIME)), Side.BUY, 2 * LOT, 90)
    twice = filled(once, Side.BUY, 2 * LOT, 90)
    assert (twice.position(KEY).excess, twice.status) == (-2 * LOT, RunStatus.EXITING)
    back = filled(twice, Side.SELL, 2 * LOT, 88)
    assert (back.position(KEY).open, back.status) == (0, RunStatus.CLOSED)
    assert back.position(KEY).gross == (100 - 90) * 2 * LOT - 2 * 2 * LOT, "and what that cost is in its profit"


def test_what_is_filled_after_the_entry_was_final_is_excess_and_what_was_meant_is_not() -> None:
    before = holding("a", held(entered=LOT, entered_value=Decimal(100) * LOT))
    ordered = replace(
        order(before, instant("09:31")).intent,
        leg="1",
        account="one",
        entry_number=0,
        action=Action.ENTER,
        side=Side.SELL,
    )
    fill = Fill(intent_id=ordered.id, quantity=LOT, value=Decimal(100) * LOT, at=instant("09:31"), number=0)
    after = with_fills(before, [(ordered, fill)])
    assert (after.position(KEY).open, after.position(KEY).excess, after.status) == (2 * LOT, LOT, RunStatus.EXITING)
    assert filled(after, Side.BUY, LOT, 99).position(KEY).excess == 0


def test_a_short_is_uncovered_by_as_much_as_nothing_held_covers() -> None:
    wing = held(leg="2", side=Side.BUY, contract=call(26100), lots=1)
    assert uncovered(holding("a", held(), wing), "one") == {ContractType.CE: LOT}
    assert uncovered(holding("a", held(lots=1), wing), "one") == {}
