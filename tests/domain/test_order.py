"""What brokers report, applied to an order: idempotent, monotone, and never outside the table of transitions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.ids import Action
from option_baskets.domain.money import ZERO
from option_baskets.domain.order import (
    AT_BROKER,
    RETURNS,
    TRANSITIONS,
    Fill,
    Intent,
    Order,
    OrderReport,
    OrderState,
    advance,
    asked,
)
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reported import apply
from option_baskets.domain.risk import approve

AT = datetime(2026, 11, 24, 9, 20, tzinfo=UTC)
S = OrderState
CALL = Contract(underlying="NIFTY", expiry=date(2026, 11, 24), type=ContractType.CE, strike=Decimal(26000))
INTENT = Intent(
    id="TAG",
    user_id="local",
    run_id="run",
    strategy_id="straddle",
    leg="1",
    account="one",
    entry_number=0,
    action=Action.ENTER,
    attempt=0,
    slice_number=0,
    contract=CALL,
    side=Side.SELL,
    quantity=130,
    limit=Decimal("99.00"),
    decided_at=AT,
)
SENT = Order(intent=INTENT, state=S.SENDING, updated_at=AT)
PRICE = Decimal("100.05")


def report(
    state: OrderState, filled: int = 0, *, seconds: int = 1, limit: str = "99.00", number: str = "1"
) -> OrderReport:
    return OrderReport(
        tag="TAG",
        broker_order_id=number,
        account="one",
        contract=CALL,
        side=Side.SELL,
        quantity=130,
        state=state,
        filled=filled,
        value=PRICE * filled,
        at=AT + timedelta(seconds=seconds),
        limit=Decimal(limit),
    )


def after(*reports: OrderReport, order: Order = SENT) -> Order:
    for each in reports:
        order = apply(order, each).order
    return order


# ---------------------------------------------------------------- single steps


def test_a_fill_carries_what_is_new_since_the_last_report() -> None:
    first = apply(SENT, report(S.PARTIAL, 65))
    second = apply(first.order, report(S.FILLED, 130, seconds=2))
    assert first.fill == Fill(intent_id="TAG", quantity=65, value=65 * PRICE, at=AT + timedelta(seconds=1), number=0)
    assert second.fill == Fill(intent_id="TAG", quantity=65, value=65 * PRICE, at=AT + timedelta(seconds=2), number=65)
    assert second.order.state is S.FILLED
    assert second.order.remaining == 0


@pytest.mark.parametrize("state", [S.OPEN, S.PARTIAL, S.FILLED, S.CANCELLED, S.REJECTED])
def test_a_repeated_report_changes_nothing(state: OrderState) -> None:
    filled = {S.PARTIAL: 65, S.FILLED: 130}.get(state, 0)
    once = after(report(state, filled))
    again = apply(once, report(state, filled))
    assert again.order is once
    assert (again.fill, again.alert) == (None, "")


def test_a_late_report_of_less_changes_nothing() -> None:
    filled = after(report(S.FILLED, 130, seconds=3))
    for late in (report(S.OPEN), report(S.PARTIAL, 65), report(S.CANCELLED, 65)):
        assert apply(filled, late).order is filled
        assert (apply(filled, late).fill, apply(filled, late).alert) == (None, "")


def test_a_fill_that_crossed_the_cancel_counts() -> None:
    cancelled = after(report(S.CANCELLED, 65))
    crossed = apply(cancelled, report(S.FILLED, 130, seconds=2))
    assert crossed.order.state is S.FILLED
    assert crossed.fill is not None
    assert crossed.fill.quantity == 65


@pytest.mark.parametrize("late", [S.PARTIAL, S.CANCELLED, S.REJECTED, S.OTHER])
@pytest.mark.parametrize("end", [S.CANCELLED, S.REJECTED])
def test_a_fill_told_after_the_end_counts_and_the_end_stays(end: OrderState, late: OrderState) -> None:
    ended = after(report(end))
    told = apply(ended, report(late, 65, seconds=2))
    assert (told.order.state, told.order.filled) == (end, 65)
    assert told.fill is not None
    assert told.fill.quantity == 65


@pytest.mark.parametrize("gone", [S.ABSENT, S.REJECTED, S.CANCELLED, S.CREATED])
@pytest.mark.parametrize("state", AT_BROKER)
def test_an_order_taken_for_being_nowhere_is_taken_up_as_its_broker_has_it(gone: OrderState, state: OrderState) -> None:
    filled = {S.PARTIAL: 65, S.FILLED: 130}.get(state, 0)
    found = apply(replace(SENT, state=gone), report(state, filled))
    assert (found.order.state, found.order.filled, found.order.broker_order_id) == (state, filled, "1")
    assert (gone, state) in RETURNS


@pytest.mark.parametrize(
    ("state", "filled", "quantity", "meant"),
    [
        (S.OPEN, 65, 130, S.PARTIAL),
        (S.PARTIAL, 0, 130, S.OPEN),
        (S.PARTIAL, 130, 130, S.FILLED),
        (S.CANCELLED, 130, 130, S.FILLED),
        (S.REJECTED, 65, 130, S.CANCELLED),
        (S.FILLED, 65, 65, S.CANCELLED),
    ],
    ids=["open and part filled", "part of nothing", "all of it", "all, cancelled", "rest refused", "made smaller"],
)
def test_what_is_filled_says_more_than_the_word_for_it(
    state: OrderState, filled: int, quantity: int, meant: OrderState
) -> None:
    told = after(replace(report(state, filled), quantity=quantity))
    assert (told.state, told.filled) == (meant, filled)


def test_complete_with_less_than_its_own_quantity_cannot_be_true() -> None:
    applied = apply(SENT, report(S.FILLED, 65))
    assert applied.order is SENT
    assert applied.code == "contradiction"


# ---------------------------------------------------------------- a status nobody knows


def strange(filled: int = 0, status: str = "OPEN PENDING", seconds: int = 1) -> OrderReport:
    return replace(report(S.OTHER, filled, seconds=seconds), status=status)


def test_a_status_nobody_knows_is_no_end_and_is_told_once() -> None:
    told = apply(SENT, strange())
    assert (told.order.state, told.order.broker_order_id, told.code) == (S.OPEN, "1", "unknown_status")
    assert "OPEN PENDING" in told.alert
    assert not apply(told.order, strange()).alert
    assert apply(told.order, strange()).order is told.order
    assert "FROZEN" in apply(told.order, strange(status="FROZEN", seconds=2)).alert


def test_what_a_status_nobody_knows_says_of_fills_counts() -> None:
    partly = apply(after(report(S.OPEN)), strange(65, seconds=2))
    assert (partly.order.state, partly.order.filled) == (S.PARTIAL, 65)
    assert after(strange(130, seconds=3), order=partly.order).state is S.FILLED
    ended = after(report(S.CANCELLED, 65, seconds=3), order=partly.order)
    assert ended.state is S.CANCELLED
    assert apply(ended, strange(65, seconds=4)).order is ended


def test_an_order_we_had_cancelled_says_why() -> None:
    wanted = asked(after(report(S.OPEN)), AT, reason=Reason.PRICE_MOVED)
    assert after(report(S.CANCELLED, seconds=2), order=wanted).reason is Reason.PRICE_MOVED
    assert after(report(S.OPEN), report(S.CANCELLED, seconds=2)).reason is None


def test_a_new_limit_is_taken_and_an_older_one_that_comes_late_is_not() -> None:
    moved = after(report(S.OPEN), report(S.OPEN, limit="98.00", seconds=5))
    assert moved.limit == Decimal("98.00")
    assert apply(moved, report(S.OPEN, seconds=1)).order is moved


def test_a_second_order_with_our_tag_is_not_ours() -> None:
    ours = after(report(S.PARTIAL, 65, number="1"))
    assert apply(ours, report(S.FILLED, 130, number="2")).order is ours


@pytest.mark.parametrize(
    "wrong",
    [
        replace(report(S.FILLED, 130), side=Side.BUY),
        replace(report(S.FILLED, 130), contract=replace(CALL, strike=Decimal(26050))),
        report(S.FILLED, 195),
    ],
    ids=["side", "contract", "quantity"],
)
def test_a_report_that_cannot_be_true_changes_nothing_and_is_told(wrong: OrderReport) -> None:
    applied = apply(SENT, wrong)
    assert applied.order is SENT
    assert applied.fill is None
    assert "contradicts intent TAG" in applied.alert


def test_a_rejection_names_its_reason_and_keeps_the_brokers_words() -> None:
    rejected = after(replace(report(S.REJECTED), message="margin"))
    assert (rejected.reason, rejected.message) == (Reason.BROKER_REJECTED, "margin")


def test_an_intent_that_makes_no_sense_is_not_approved() -> None:
    for broken in (replace(INTENT, quantity=0), replace(INTENT, limit=ZERO), replace(INTENT, quantity=-65)):
        with pytest.raises(ValueError, match="must be positive"):
            approve(broken)


# ---------------------------------------------------------------- the table


def test_what_we_decide_goes_through_the_table() -> None:
    for before, then in product(S, S):
        order = replace(SENT, state=before)
        if (before, then) in TRANSITIONS:
            assert advance(order, then, AT).state is then
        else:
            with pytest.raises(ValueError, match=f"cannot go from {before} to {then}"):
                advance(order, then, AT)


def test_nothing_is_resent_a_filled_order_stays_so_and_no_end_becomes_a_beginning() -> None:
    assert {before for before, then in TRANSITIONS | RETURNS if then is S.SENDING} == {S.CREATED}
    assert not {before for before, _ in TRANSITIONS | RETURNS} & {S.FILLED}
    assert {then for before, then in TRANSITIONS if before.is_final} == {S.FILLED}
    assert not {S.OTHER} & {state for pair in TRANSITIONS | RETURNS for state in pair}


@pytest.mark.parametrize(
    ("before", "then"),
    [
        (S.REJECTED, S.CANCELLED),
        (S.CANCELLED, S.REJECTED),
        (S.OPEN, S.SENDING),
        (S.OPEN, S.UNKNOWN),
        (S.OPEN, S.ABSENT),
    ],
)
def test_what_the_table_does_not_have_is_told_and_changes_nothing(before: OrderState, then: OrderState) -> None:
    order = replace(SENT, state=before, broker_order_id="1")
    applied = apply(order, report(then))
    assert applied.order is order
    assert applied.code == "contradiction"


# ---------------------------------------------------------------- any order of reports


@st.composite
def lives(draw: st.DrawFn) -> list[OrderReport]:
    """What a broker truly says of one order, in order of time: fills grow, the end is the end."""
    reports = [report(S.OPEN)] if draw(st.booleans()) else []
    filled = 0
    for lots in draw(st.lists(st.integers(1, 4), max_size=4)):
        if filled + 13 * lots >= 130:
            break
        filled += 13 * lots
        reports.append(report(S.PARTIAL, filled, seconds=len(reports) + 2))
    end = draw(st.sampled_from([S.FILLED, S.CANCELLED, S.OPEN]))
    seconds = len(reports) + 2
    if end is S.FILLED:
        reports.append(report(S.FILLED, 130, seconds=seconds))
    elif end is S.CANCELLED:
        reports.append(report(S.CANCELLED, filled, seconds=seconds))
    return reports


@given(life=lives(), noise=st.lists(st.integers(0, 9), max_size=10), data=st.data())
def test_late_repeated_and_shuffled_reports_end_where_the_true_order_of_them_ends(
    life: list[OrderReport], noise: list[int], data: st.DataObject
) -> None:
    repeated = life + [life[index % len(life)] for index in noise if life]
    shuffled = data.draw(st.permutations(repeated))
    order, fills = SENT, 0
    for each in shuffled:
        applied = apply(order, each)
        assert applied.order.filled >= order.filled
        if applied.fill is not None:
            assert applied.fill.number == order.filled
            assert applied.fill.value == PRICE * applied.fill.quantity
            fills += applied.fill.quantity
        if applied.order.state is not order.state:
            assert (order.state, applied.order.state) in TRANSITIONS
        order = applied.order
    straight = after(*life)
    assert (order.state, order.filled, order.value) == (straight.state, straight.filled, straight.value)
    assert fills == order.filled


@given(
    reports=st.lists(st.builds(report, st.sampled_from(S), st.integers(0, 150), seconds=st.integers(0, 9)), max_size=12)
)
def test_whatever_is_reported_only_the_table_moves_an_order_and_fills_add_up(reports: list[OrderReport]) -> None:
    order, units, value = SENT, 0, ZERO
    for each in reports:
        applied = apply(order, each)
        assert applied.order.state is order.state or (order.state, applied.order.state) in TRANSITIONS
        if applied.code == "contradiction":
            assert applied.order is order
        if each.state is S.OTHER:
            assert (
                not applied.order.state.is_final or applied.order.state is order.state or applied.order.remaining == 0
            )
        if applied.fill is not None:
            units += applied.fill.quantity
            value += applied.fill.value
        order = applied.order
        assert apply(order, each).fill is None
    assert (units, value) == (order.filled, order.value)
    assert order.filled <= INTENT.quantity
