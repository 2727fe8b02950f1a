"""The audit: everything in a user's history, in order of time, as rows a person and a spreadsheet can read.

Nothing is kept in memory but what belongs to one instant, the steps of orders that are still to come, and a few
thousand intents that fills are joined with. It reads the store and nothing else, so it may run beside an engine.
"""

import heapq
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.contract import Contract
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Change, Fill, Intent, Order, OrderState, Step
from option_baskets.domain.run import LegPosition, Run
from option_baskets.ports import Item
from option_baskets.store import codec, keys
from option_baskets.store.books import Books
from option_baskets.store.records import ENGINE, Alert, Occurrence, Refusal

BROKER = "broker"
"""The actor of what a broker or its exchange did."""

LOOK_BACK = timedelta(days=7)
"""Steps of orders that were decided so long before the first instant are found; the longest holidays are shorter."""

_INTENTS = 5_000
_ASKED = {Step.CANCEL: "order.cancel_asked", Step.REPRICE: "order.reprice_asked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that happened. Empty texts and None where a field does not apply."""

    time: datetime
    actor: str
    """``engine``, ``broker``, or the name of whoever did it."""
    what: str
    strategy: str = ""
    run: str = ""
    account: str = ""
    leg: str = ""
    contract: str = ""
    side: str = ""
    quantity: int | None = None
    """Units."""
    price: Decimal | None = None
    """Rupees per unit."""
    cause: str = ""
    order: str = ""
    """The intent's id, which is the tag at the broker."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Which rows are asked for; what is empty asks for all."""

    run: str = ""
    strategies: Collection[str] = ()
    account: str = ""

    def takes(self, row: Row) -> bool:
        return (
            (not self.run or row.run == self.run)
            and (not self.strategies or row.strategy in self.strategies)
            and (not self.account or row.account == self.account)
        )


EVERYTHING = Only()


async def audit(
    books: Books, user_id: str, start: datetime, end: datetime, only: Only = EVERYTHING
) -> AsyncIterator[Row]:
    """Every row of one user from ``start`` to ``end``, both included, in order of time.

    At one instant decisions come before orders and orders before fills. The steps of an order are in the order they
    were learned: one whose broker gives an earlier time stands where the step before it stands.
    """
    reader = _Reader(books=books, user_id=user_id, start=start)
    waiting: list[tuple[datetime, int, int, Row]] = []
    count = 0
    async for at, items in _instants(books, user_id, start, end):
        while waiting and waiting[0][0] < at:
            yield heapq.heappop(waiting)[-1]
        async for rank, row in reader.rows(at, items):
            if start <= row.time <= end and only.takes(row):
                count += 1
                heapq.heappush(waiting, (row.time, rank, count, row))
    while waiting:
        yield heapq.heappop(waiting)[-1]


async def _instants(
    books: Books, user_id: str, start: datetime, end: datetime
) -> AsyncIterator[tuple[datetime, list[tuple[str, Item]]]]:
    """What has one timestamp together, by kind, with its order before a fill of it; of the look-back before ``start``
    only orders that have steps after it."""
    together: list[tuple[str, Item]] = []
    at: datetime | None = None
    begins = keys.timestamp(start)
    async for kind, item in books.history(user_id, start - LOOK_BACK, end):
        if item.sk < begins and (kind != "ORDER" or not _steps_after(item.body, start)):
            continue
        instant = keys.instant_of(item.sk)
        if at is not None and instant != at:
            yield at, sorted(together, key=_rank)
            together = []
        at = instant
        together.append((kind, item))
    if at is not None:
        yield at, sorted(together, key=_rank)


_AT = re.compile(rb'"at":"([^"]+)"')


def _steps_after(body: bytes, start: datetime) -> bool:
    """Whether a stored order has a step from an instant on, told from its bytes: nearly all of the look-back have none.

    Quotes inside texts are stored with a backslash, so no message of a broker looks like the time of a step.
    """
    return any(datetime.fromisoformat(at.decode()) >= start for at in _AT.findall(body))


_KINDS = ("EVENT", "RISK", "ENTRY", "ORDER", "FILL", "SETTLEMENT", "EXIT", "ALERT")


def _rank(each: tuple[str, Item]) -> int:
    return _KINDS.index(each[0]) if each[0] in _KINDS else len(_KINDS)


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Items as rows."""

    books: Books
    user_id: str
    start: datetime
    intents: OrderedDict[str, Intent] = field(default_factory=OrderedDict)

    async def rows(self, at: datetime, items: list[tuple[str, Item]]) -> AsyncIterator[tuple[int, Row]]:
        for each in items:
            kind, item = each
            if at < self.start and kind != "ORDER":
                continue
            if kind == "FILL":
                yield _rank(each), await self._fill(codec.decode(item.body, Fill))
                continue
            if kind == "ORDER":
                order = codec.decode(item.body, Order)
                self._remember(order.intent)
                found = _of_order(order)
            else:
                found = _of_item(kind, item)
            for row in found:
                yield _rank(each), row

    def _remember(self, intent: Intent) -> None:
        self.intents[intent.id] = intent
        if len(self.intents) > _INTENTS:
            self.intents.popitem(last=False)

    async def _fill(self, fill: Fill) -> Row:
        intent = self.intents.get(fill.intent_id)
        if intent is None:
            order = await self.books.order(self.user_id, fill.intent_id)
            if order is None:
                return Row(time=fill.at, actor=BROKER, what="fill", quantity=fill.quantity, order=fill.intent_id)
            intent = order.intent
        price = fill.value / fill.quantity
        return _order_row(intent, fill.at, BROKER, "fill", price, quantity=fill.quantity, cause=_why(intent))


# ---------------------------------------------------------------- kind by kind


def _of_order(order: Order) -> Iterator[Row]:
    intent = order.intent
    number = f"attempt {intent.attempt + 1}" if intent.attempt else ""
    what = f"{intent.action.lower()} decided" + (f", {number}" if number else "")
    yield _order_row(intent, intent.decided_at, ENGINE, "order.decided", intent.limit, cause=_why(intent), detail=what)
    before, latest = "CREATED", intent.decided_at
    for change in order.changes:
        latest = max(latest, change.at)
        yield _of_change(intent, change, before, latest)
        before = change.state


def _of_change(intent: Intent, change: Change, before: str, at: datetime) -> Row:
    actor = BROKER if change.step is Step.BROKER else ENGINE
    what = _ASKED.get(change.step, f"order.{change.state.lower()}")
    parts = [f"{before} to {change.state}" if before != change.state else f"still {change.state}"]
    if change.filled:
        parts.append(f"{change.filled} of {intent.quantity} filled")
    if at != change.at:
        parts.append(f"at {change.at.isoformat()} by the broker's clock")
    if change.message:
        parts.append(change.message)
    return _order_row(intent, at, actor, what, change.limit, cause=_cause(intent, change), detail="; ".join(parts))


def _cause(intent: Intent, change: Change) -> str:
    if change.reason is not None:
        return change.reason
    if change.step is Step.BROKER:
        return "reported"
    if change.step is Step.REPRICE:
        return "chase"
    return "no_answer" if change.state is OrderState.UNKNOWN else _why(intent)


def _order_row(
    intent: Intent,
    at: datetime,
    actor: str,
    what: str,
    price: Decimal | None,
    *,
    cause: str,
    quantity: int | None = None,
    detail: str = "",
) -> Row:
    return Row(
        time=at,
        actor=actor,
        what=what,
        strategy=intent.strategy_id,
        run=intent.run_id,
        account=intent.account,
        leg=intent.leg,
        contract=intent.contract.name,
        side=intent.side,
        quantity=intent.quantity if quantity is None else quantity,
        price=price,
        cause=cause,
        order=intent.id,
        detail=detail,
    )


def _why(intent: Intent) -> str:
    """What an order is for: an entry, or the reason of the exit."""
    return "entry" if intent.action is Action.ENTER else intent.cause or "exit"


def _of_item(kind: str, item: Item) -> Iterator[Row]:
    at, (strategy, _, rest) = keys.instant_of(item.sk), keys.kind_of(item.sk)
    match kind:
        case "EVENT":
            yield from _of_occurrence(codec.decode(item.body, Occurrence))
        case "RISK":
            yield _of_refusal(codec.decode(item.body, Refusal))
        case "ALERT":
            yield _of_alert(codec.decode(item.body, Alert))
        case "ENTRY":
            yield _entered(codec.decode(item.body, Run), at)
        case "EXIT":
            yield _ended(codec.decode(item.body, Run), at)
        case "SETTLEMENT":
            yield _settled(codec.decode(item.body, LegPosition), at, strategy, rest.rsplit("#", 3)[0])
        case _:  # a newer program wrote it
            yield Row(time=at, actor=ENGINE, what=kind.lower(), strategy=strategy, detail=rest)


def _of_occurrence(occurrence: Occurrence) -> Iterator[Row]:
    whole = Row(
        time=occurrence.at,
        actor=occurrence.actor,
        what=occurrence.what,
        strategy=occurrence.strategy_id,
        run=occurrence.run_id,
        account=occurrence.account,
        cause=occurrence.cause,
        detail=occurrence.detail,
    )
    if not occurrence.lines:
        yield whole
    for line in occurrence.lines:
        yield Row(
            time=whole.time,
            actor=whole.actor,
            what=whole.what,
            strategy=whole.strategy,
            run=whole.run,
            account=line.account,
            leg=line.leg,
            contract=_name(line.contract),
            side=line.side or "",
            quantity=line.quantity or None,
            price=line.price,
            cause=line.cause or whole.cause,
            detail=line.detail or whole.detail,
        )


def _of_refusal(refusal: Refusal) -> Row:
    return Row(
        time=refusal.at,
        actor=ENGINE,
        what="refused",
        strategy=refusal.strategy_id,
        run=refusal.run_id,
        account=refusal.account,
        leg=refusal.leg,
        quantity=refusal.quantity or None,
        cause=refusal.reason,
        detail=refusal.detail,
    )


def _of_alert(alert: Alert) -> Row:
    return Row(
        time=alert.at,
        actor=ENGINE,
        what=f"alert.{alert.level}",
        strategy=alert.strategy_id,
        run=alert.run_id,
        account=alert.account,
        cause=alert.code,
        detail=alert.message,
    )


def _entered(run: Run, at: datetime) -> Row:
    accounts = len({position.account for position in run.positions})
    plan = f"strategy version {run.strategy.version}, basket version {run.basket.version}"
    legs = f"{len(run.positions)} positions on {accounts} accounts, {len(run.pending)} waited for"
    detail = "; ".join(part for part in (legs, plan, run.detail) if part)
    return Row(
        time=at, actor=ENGINE, what="entered", strategy=run.strategy.id, run=run.id, cause="entry", detail=detail
    )


def _ended(run: Run, at: datetime) -> Row:
    cause = run.reason or next((each.exit_reason for each in run.positions if each.exit_reason is not None), "")
    detail = "; ".join(part for part in (run.status.lower(), run.detail) if part)
    return Row(time=at, actor=ENGINE, what="ended", strategy=run.strategy.id, run=run.id, cause=cause, detail=detail)


def _settled(position: LegPosition, at: datetime, strategy: str, run: str) -> Row:
    settlement = position.settlement
    assert settlement is not None
    return Row(
        time=at,
        actor=BROKER,
        what="settled",
        strategy=strategy,
        run=run,
        account=position.account,
        leg=position.leg,
        contract=position.contract.name,
        side=position.side.opposite,
        quantity=settlement.quantity,
        price=settlement.price,
        cause="expiry",
        detail=f"final settlement price {settlement.index:f}",
    )


def _name(contract: Contract | None) -> str:
    return "" if contract is None else contract.name
