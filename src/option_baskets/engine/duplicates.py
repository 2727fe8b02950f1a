"""The duplicate check: the last minutes (five in the table) of every account's order book against our journal.

A duplicate is two broker orders with one tag, or an untagged order that matches one of ours in time, symbol, side and
quantity. Distinct intents are never duplicates. What is found is alerted once; nothing is cancelled by itself.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from option_baskets.domain.order import Order, OrderReport
from option_baskets.engine.desk import AccountKey
from option_baskets.engine.standing import EXTERNAL, Standing
from option_baskets.engine.trading import Trading

SAME_TIME = timedelta(seconds=5)
"""How close in time an untagged order must be to one of ours to look like a repetition of it."""


async def tell_of_strangers(
    trading: Trading, account: AccountKey, standing: Standing, reports: Sequence[OrderReport], since: datetime
) -> None:
    """Alert of every order of the book from ``since`` on that is a duplicate of ours, or not ours at all.

    Where every order is one of ours the store is asked nothing.
    """
    strange = [report for report in reports if report.at >= since and not _is_ours(trading, report)]
    if strange:
        for key, message in findings(strange, await _ours(trading, account, standing, strange)):
            await _alert_once(trading, account, key, message)


def _is_ours(trading: Trading, report: OrderReport) -> bool:
    """It is the one broker order of an intent in hand."""
    order = trading.desk.orders.get(report.tag)
    return order is not None and order.broker_order_id in {"", report.broker_order_id}


async def _ours(
    trading: Trading, account: AccountKey, standing: Standing, strange: Sequence[OrderReport]
) -> list[Order]:
    """Our orders that the reports may be of: by their tags, and of untagged ones any of the account."""
    user_id, account_id = account
    orders = trading.desk.orders
    found: list[Order] = []
    for tag in {report.tag for report in strange} - standing.foreign - {""}:
        order = orders.get(tag) or await trading.books.order(user_id, tag)
        if order is None:
            standing.foreign.add(tag)
        elif order.intent.account == account_id:
            found.append(order)
    if any(not report.tag for report in strange):
        found += [order for order in orders.values() if (order.intent.user_id, order.intent.account) == account]
    return found


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
    """Take up what a process before this one has already said of the session's orders, and of what is not ours.

    What it had confirmed to be held beside our runs is so until a reading shows otherwise: nothing is entered there.
    """
    for user_id in sorted({user_id for user_id, _ in trading.desk.brokers}):
        for alert in await trading.books.alerts(user_id, trading.close_of_day().date()):
            account = user_id, alert.account
            trading.alerted.add((account, alert.subject))
            trading.told_at[account, alert.code, alert.run_id, alert.subject] = alert.at
            if alert.code == EXTERNAL and account in trading.desk.brokers:
                standing = trading.standings.setdefault(account, Standing())
                standing.remember(alert.subject)


async def _alert_once(trading: Trading, account: AccountKey, key: str, message: str) -> None:
    if (account, key) not in trading.alerted:
        trading.alerted.add((account, key))
        code = message.partition(":")[0].replace(" ", "_")
        await trading.alert(account[0], code, message, account=account[1], subject=key)
