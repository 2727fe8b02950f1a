"""The duplicate check: the last minutes (five in the table) of every account's order book against our journal.

A duplicate is two broker orders with one tag, or an untagged order that matches one of ours in time, symbol, side and
quantity. Distinct intents are never duplicates. What is found is alerted once; nothing is cancelled by itself.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from option_baskets.domain.errors import Unavailable, Unclear
from option_baskets.domain.events import Event
from option_baskets.domain.order import Order, OrderReport
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.trading import Trading

SAME_TIME = timedelta(seconds=5)
"""How close in time an untagged order must be to one of ours to look like a repetition of it."""


async def check_duplicates(trading: Trading, event: Event, look_back: timedelta) -> None:
    """Handle ``CheckDuplicateOrders`` over all accounts; an account that does not answer is looked at next time.

    What the books say of our own orders is applied too: an update may have been missed.
    """
    since = event.at - look_back
    for account, broker in trading.desk.brokers.items():
        try:
            reports = await broker.orders()
        except (Unavailable, Unclear):
            continue
        for report in reports:
            await trading.desk.report(account[0], report)
        recent = [report for report in reports if report.at >= since]
        if recent:
            ours = await _ours(trading, account, recent, since, event.at)
            for key, message in findings(recent, ours):
                await _alert_once(trading, account, key, message)


async def _ours(
    trading: Trading, account: AccountKey, recent: Sequence[OrderReport], since: datetime, at: datetime
) -> list[Order]:
    """Our orders that the reports may be of: those of the look-back, and older ones by their tags."""
    user_id, account_id = account
    found = await trading.books.orders_between(user_id, since, at + (at - since))
    known = {order.intent.id for order in found}
    for tag in {report.tag for report in recent} - known - {""}:
        older = trading.desk.orders.get(tag) or await trading.books.order(user_id, tag)
        if older is not None:
            found.append(older)
    return [order for order in found if order.intent.account == account_id]


def findings(reports: Sequence[OrderReport], ours: Sequence[Order]) -> list[tuple[str, str]]:
    """What is wrong, as (identity, sentence), in the order of the book. Pure."""
    known = {order.intent.id: order for order in ours}
    seen: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for report in reports:
        what = f"{report.side} {report.quantity} {report.contract.name} ({report.broker_order_id}) on {report.account}"
        if report.tag in known:
            first = seen.setdefault(report.tag, known[report.tag].broker_order_id or report.broker_order_id)
            if first != report.broker_order_id:
                found.append((report.broker_order_id, f"duplicate order: {what} repeats {first}"))
        elif (twin := _twin(report, ours)) is not None:
            found.append((report.broker_order_id, f"duplicate order: {what} has no tag and matches {twin.intent.id}"))
        else:
            found.append((report.broker_order_id, f"foreign order: {what} is not one of ours"))
    return found


def _twin(report: OrderReport, ours: Sequence[Order]) -> Order | None:
    if report.tag:
        return None
    for order in ours:
        intent = order.intent
        same = (intent.contract, intent.side, intent.quantity) == (report.contract, report.side, report.quantity)
        if same and any(abs(at - report.at) <= SAME_TIME for at in (intent.decided_at, order.updated_at)):
            return order
    return None


async def remember_alerts(trading: Trading) -> None:
    """Take up what a process before this one has already said of the session's orders."""
    for user_id in sorted({user_id for user_id, _ in trading.desk.brokers}):
        for alert in await trading.books.alerts(user_id, trading.close_of_day().date()):
            trading.alerted.add(((user_id, alert.account), alert.subject))


async def _alert_once(trading: Trading, account: AccountKey, key: str, message: str) -> None:
    if (account, key) not in trading.alerted:
        trading.alerted.add((account, key))
        code = message.partition(":")[0].replace(" ", "_")
        await trading.alert(account[0], code, message, account=account[1], subject=key)
