"""From an item that was written to what its user is told of it. Pure: the same for every table, fed by whatever.

An item of an order or a run is the whole thing as it now is, so whoever has skipped a version has missed nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from option_baskets.domain.order import Fill, Order
from option_baskets.domain.run import LegPosition, Run, Shortfall
from option_baskets.domain.session import IST
from option_baskets.engine.live_format import (
    contract_told,
    price_or_none,
    price_told,
    run_id_told,
    rupees_told,
    time_or_none,
    time_told,
)
from option_baskets.engine.live_messages import (
    AlertMessage,
    AlertTold,
    EventMessage,
    FillMessage,
    LineTold,
    NotTraded,
    Once,
    OrderMessage,
    OrderTold,
    PositionTold,
    RefusalMessage,
    RunMessage,
    RunTold,
    TickMessage,
)
from option_baskets.ports import Item, TableName
from option_baskets.store import codec, keys
from option_baskets.store.records import Alert, Line, Occurrence, Refusal, TickMark, TickState

EVERYBODY = ""
"""The user of what concerns all."""

Value = Order | Fill | Run | Alert | Refusal | Occurrence | TickMark

_HISTORY: dict[str, type[Value]] = {
    "ORDER": Order,
    "FILL": Fill,
    "ALERT": Alert,
    "RISK": Refusal,
    "EVENT": Occurrence,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An item that says something to a user."""

    user_id: str
    name: str
    """Its sort key: with the user its identity."""
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    user_id: str
    """``EVERYBODY`` of a tick."""
    message: Once | TickMessage


def told(table: TableName, item: Item, at: datetime) -> Told | None:
    """What is told of an item; None where it says nothing to anybody.

    Args:
        at: when it was written; what has an instant of its own keeps that.
    """
    written = read(table, item)
    if written is None:
        return None
    return Told(user_id=written.user_id, message=message_of(written, at))


def read(table: TableName, item: Item) -> Written | None:
    """The item's value; None where it is of no kind that is told."""
    type_ = kind(table, item.pk, item.sk)
    if type_ is None:
        return None
    value = codec.decode(item.body, type_)
    if isinstance(value, TickMark):
        return None if value.state is TickState.DONE else Written(user_id=EVERYBODY, name=item.sk, value=value)
    return Written(user_id=item.pk, name=item.sk, value=value)


def kind(table: TableName, pk: str, sk: str) -> type[Value] | None:
    """What is stored under a key, where it is told of."""
    if table is TableName.CONFIGURATIONS:
        if sk.startswith(keys.RUNS):
            return Run
        return TickMark if pk.startswith(keys.TICKS) else None
    if table is TableName.HISTORY and sk.count("#") >= 3:
        return _HISTORY.get(sk.split("#", 3)[2])
    return None


def message_of(written: Written, at: datetime) -> Once | TickMessage:
    """Without a number yet."""
    match written.value:
        case Order() as order:
            return OrderMessage(at=time_told(order.updated_at), order=order_told(order))
        case Fill() as fill:
            return _fill(fill, keys.kind_of(written.name)[0])
        case Run() as run:
            return RunMessage(at=time_told(at), run=run_told(run))
        case Alert() as alert:
            return AlertMessage(at=time_told(alert.at), alert=alert_told(alert, written.name))
        case Refusal() as refusal:
            return _refusal(refusal, written.name)
        case Occurrence() as occurrence:
            return _event(occurrence, written.name)
        case TickMark() as mark:
            local = mark.tick.at.astimezone(IST)
            return TickMessage(at=local, date=local.date(), phase=mark.tick.phase, late=mark.tick.late)


def order_told(order: Order) -> OrderTold:
    intent = order.intent
    return OrderTold(
        order_id=intent.id,
        run_id=run_id_told(intent.run_id) or "",
        strategy_id=intent.strategy_id,
        account=intent.account,
        leg=intent.leg,
        entry_number=intent.entry_number,
        action=intent.action,
        cause=intent.cause,
        contract=contract_told(intent.contract),
        side=intent.side,
        quantity=intent.quantity,
        filled=order.filled,
        price=price_told(order.value / order.filled) if order.filled else None,
        limit=price_told(intent.limit if order.limit is None else order.limit),
        state=order.state,
        reason=order.reason,
        detail=order.message,
        broker_order_id=order.broker_order_id or None,
        decided_at=time_told(intent.decided_at),
        updated_at=time_told(order.updated_at),
        version=order.version,
    )


def run_told(run: Run) -> RunTold:
    return RunTold(
        run_id=run_id_told(run.id) or "",
        date=run.date,
        cycle=run.cycle,
        basket_id=run.basket.id,
        basket=run.basket.name,
        strategy_id=run.strategy.id,
        strategy=run.strategy.name,
        underlying=run.strategy.underlying,
        entry_at=time_told(run.entry_at),
        exit_at=time_told(run.exit_at),
        status=run.status,
        reason=run.reason,
        detail=run.detail,
        positions=tuple(map(_position, run.positions)),
        not_traded=tuple(map(_not_traded, run.shortfalls)),
        version=run.version,
    )


def alert_told(alert: Alert, name: str) -> AlertTold:
    return AlertTold(
        id=name,
        at=time_told(alert.at),
        level=alert.level,
        code=alert.code,
        message=alert.message,
        strategy_id=alert.strategy_id or None,
        run_id=run_id_told(alert.run_id),
        account=alert.account or None,
    )


def _position(position: LegPosition) -> PositionTold:
    return PositionTold(
        leg=position.leg,
        account=position.account,
        entry_number=position.entry_number,
        contract=contract_told(position.contract),
        side=position.side,
        lots=position.lots,
        quantity=position.intended,
        entered=position.entered,
        open=position.open,
        entry_time=time_or_none(position.entry_time),
        entry_price=price_or_none(position.entry_price),
        exit_time=time_or_none(position.exit_time),
        exit_price=price_or_none(position.exit_price),
        exit_reason=position.exit_reason,
        realised=rupees_told(position.gross),
    )


def _not_traded(short: Shortfall) -> NotTraded:
    return NotTraded(
        leg=short.leg, account=short.account, quantity=short.quantity, reason=short.reason, detail=short.detail
    )


def _fill(fill: Fill, strategy_id: str) -> FillMessage:
    return FillMessage(
        at=time_told(fill.at),
        order_id=fill.intent_id,
        strategy_id=strategy_id,
        quantity=fill.quantity,
        price=price_told(fill.value / fill.quantity),
        value=rupees_told(fill.value),
        filled_before=fill.number,
    )


def _refusal(refusal: Refusal, name: str) -> RefusalMessage:
    return RefusalMessage(
        at=time_told(refusal.at),
        id=name,
        strategy_id=refusal.strategy_id,
        run_id=run_id_told(refusal.run_id),
        account=refusal.account or None,
        leg=refusal.leg or None,
        quantity=refusal.quantity,
        reason=refusal.reason,
        detail=refusal.detail,
    )


def _event(occurrence: Occurrence, name: str) -> EventMessage:
    return EventMessage(
        at=time_told(occurrence.at),
        id=name,
        what=occurrence.what,
        cause=occurrence.cause,
        actor=occurrence.actor,
        strategy_id=occurrence.strategy_id or None,
        run_id=run_id_told(occurrence.run_id),
        account=occurrence.account or None,
        subject=occurrence.subject,
        detail=occurrence.detail,
        lines=tuple(map(_line, occurrence.lines)),
    )


def _line(line: Line) -> LineTold:
    return LineTold(
        account=line.account,
        leg=line.leg,
        contract=None if line.contract is None else contract_told(line.contract),
        side=line.side,
        quantity=line.quantity,
        price=price_or_none(line.price),
        cause=line.cause,
        detail=line.detail,
    )
