"""What a broker reports, applied to an order."""

from dataclasses import dataclass

from option_baskets.domain.copies import copied
from option_baskets.domain.order import (
    AT_BROKER,
    RETURNS,
    TRANSITIONS,
    Change,
    Fill,
    Intent,
    Order,
    OrderReport,
    OrderState,
    Step,
    is_given_up,
)
from option_baskets.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying a report did: the order after it, the new fill if any, and what a person should hear of it."""

    order: Order
    fill: Fill | None = None
    alert: str = ""
    code: str = ""
    """Of the alert."""


def apply(order: Order, report: OrderReport) -> Applied:
    """Apply a broker's cumulative report, idempotently: repeated, late or out of order, they end where the last does.

    A fill is never lost: it counts whatever state the order is in, and an end stays an end. A report that cannot be
    true (other contract, more than ordered, a transition outside the table) changes nothing and carries an alert. A
    status nobody knows is no end; what it says of fills counts, and an alert tells of it once.
    """
    state = _meant(order.intent, report)
    if state is None:
        return _contradiction(order, f"report of {report.broker_order_id} contradicts intent {order.intent.id}")
    if order.broker_order_id and report.broker_order_id not in {"", order.broker_order_id}:
        return Applied(order=order)  # a second order with this tag: the duplicate check tells, and ours goes on
    if report.filled < order.filled:
        return Applied(order=order)
    more_filled = report.filled > order.filled
    returns = is_given_up(order)
    if order.state.is_final and not returns:
        if not more_filled and not state.is_final:
            return Applied(order=order)
        if more_filled and state is not OrderState.FILLED:
            state = order.state
    is_told = _unknown_status(report) in {change.message for change in order.changes}
    if state is order.state and not more_filled and not returns:
        is_news = report.limit != order.limit or (report.state is OrderState.OTHER and not is_told)
        if order.state.is_final or not is_news or report.at < order.updated_at:
            return Applied(order=order)
    elif state is not order.state and (order.state, state) not in (RETURNS if returns else TRANSITIONS):
        return _contradiction(order, f"order {order.intent.id} cannot go from {order.state} to {state}")
    after = _after(order, report, state)
    if report.state is OrderState.OTHER and not is_told:
        alert = f"order {order.intent.id} ({report.broker_order_id}) has a status nobody knows: {report.status or '-'}"
        return Applied(order=after, fill=_fill(order, report), alert=alert, code="unknown_status")
    return Applied(order=after, fill=_fill(order, report))


def _contradiction(order: Order, alert: str) -> Applied:
    return Applied(order=order, alert=alert, code="contradiction")


def _meant(intent: Intent, report: OrderReport) -> OrderState | None:
    """The state that a report says its order is in; None where it cannot be true.

    While an order works, how much is filled tells OPEN from PARTIAL. What a broker refuses after a part was filled, or
    calls complete because somebody has made it smaller there, is cancelled for the rest.
    """
    if (report.contract, report.side) != (intent.contract, intent.side) or report.filled > intent.quantity:
        return None
    if report.filled == intent.quantity and report.state in {*AT_BROKER, OrderState.OTHER}:
        return OrderState.FILLED
    match report.state:
        case OrderState.OPEN | OrderState.PARTIAL | OrderState.OTHER:
            return OrderState.PARTIAL if report.filled else OrderState.OPEN
        case OrderState.REJECTED | OrderState.CANCELLED:
            return OrderState.CANCELLED if report.filled else report.state
        case OrderState.FILLED if report.filled == report.quantity:
            return OrderState.CANCELLED
        case _:
            return None


def _unknown_status(report: OrderReport) -> str:
    return f"status {report.status or '-'}: {report.message}".rstrip(": ")


def _fill(order: Order, report: OrderReport) -> Fill | None:
    """What is filled since the last report."""
    if report.filled == order.filled:
        return None
    return Fill(
        intent_id=order.intent.id,
        quantity=report.filled - order.filled,
        value=report.value - order.value,
        at=report.at,
        number=order.filled,
    )


def _after(order: Order, report: OrderReport, state: OrderState) -> Order:
    message = _unknown_status(report) if report.state is OrderState.OTHER else report.message
    reason = None
    if state is not order.state:
        reason = Reason.BROKER_REJECTED if state is OrderState.REJECTED else _why_cancelled(order, state)
    change = Change(
        at=report.at,
        step=Step.BROKER,
        state=state,
        filled=report.filled,
        limit=report.limit,
        reason=reason,
        message=message,
    )
    return copied(
        order,
        state=state,
        broker_order_id=report.broker_order_id or order.broker_order_id,
        filled=report.filled,
        value=report.value,
        limit=report.limit,
        message=message or order.message,
        updated_at=report.at,
        reason=reason or order.reason,
        changes=(*order.changes, change),
    )


def _why_cancelled(order: Order, state: OrderState) -> Reason | None:
    """The reason with which we asked for its end; None where we did not."""
    if state is not OrderState.CANCELLED:
        return None
    return next((each.reason for each in reversed(order.changes) if each.step is Step.CANCEL), None)
