"""What runs, positions and orders look like on the wire.

Prices have 4 decimals and amounts 2, as in docs/replay-json.md; instants are in exchange time; null is not known.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.ids import Action, public_run_id
from option_baskets.domain.money import price, rupees
from option_baskets.domain.order import Order, OrderState
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import LegPosition
from option_baskets.domain.session import IST
from option_baskets.engine.profits import Made


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractView:
    underlying: str
    expiry: date
    type: ContractType
    strike: str | None
    """Index points; null for a future."""
    name: str
    """For a person; no broker's symbol."""

    @classmethod
    def of(cls, contract: Contract) -> "ContractView":
        strike = None if contract.strike is None else f"{contract.strike.normalize():f}"
        return cls(
            underlying=contract.underlying,
            expiry=contract.expiry,
            type=contract.type,
            strike=strike,
            name=contract.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LegView:
    """One leg on one account, as often as it was entered."""

    leg: str
    account: str
    entry_number: int
    """0 at first; higher where the leg was entered again."""
    contract: ContractView
    side: Side
    lots: int
    quantity: int
    """Units intended."""
    entered: int
    """Units."""
    open: int
    """Units still held."""
    entry_time: datetime | None
    entry_price: Decimal | None
    """Average, rupees per unit."""
    exit_time: datetime | None
    """When the last unit was closed."""
    exit_price: Decimal | None
    """Average of what was closed so far."""
    exit_reason: ExitReason | None
    """The rule that first decided to close it."""
    not_entered: Reason | None
    """Why less than intended was entered."""
    realised: Decimal
    """Rupees on the units closed, before charges."""
    settled: int
    """Of the closed units, those that expired and settled in cash."""
    closed_outside: int
    """Of the closed units, those that were closed without an order of ours."""

    @classmethod
    def of(cls, leg: LegPosition) -> "LegView":
        return cls(
            leg=leg.leg,
            account=leg.account,
            entry_number=leg.entry_number,
            contract=ContractView.of(leg.contract),
            side=leg.side,
            lots=leg.lots,
            quantity=leg.intended,
            entered=leg.entered,
            open=leg.open,
            entry_time=exchange_time(leg.entry_time),
            entry_price=shown_price(leg.entry_price),
            exit_time=exchange_time(leg.exit_time),
            exit_price=shown_price(leg.exit_price),
            exit_reason=leg.exit_reason,
            not_entered=leg.shortfall,
            realised=rupees(leg.gross),
            settled=0 if leg.settlement is None else leg.settlement.quantity,
            closed_outside=sum(each.quantity for each in leg.external),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One order as its broker knows it."""

    id: str
    """Also its tag at the broker."""
    run_id: str
    strategy_id: str
    leg: str
    account: str
    entry_number: int
    action: Action
    cause: ExitReason | None
    """Why, for an exit."""
    attempt: int
    slice: int
    contract: ContractView
    side: Side
    quantity: int
    """Units."""
    filled: int
    average_price: Decimal | None
    limit: Decimal
    """The limit its broker last confirmed, else the one it was decided with."""
    state: OrderState
    reason: Reason | None
    message: str
    """What the broker wrote, or our own account of it."""
    broker_order_id: str
    decided_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, order: Order) -> "OrderView":
        intent = order.intent
        return cls(
            id=intent.id,
            run_id=public_run_id(intent.run_id),
            strategy_id=intent.strategy_id,
            leg=intent.leg,
            account=intent.account,
            entry_number=intent.entry_number,
            action=intent.action,
            cause=intent.cause,
            attempt=intent.attempt,
            slice=intent.slice_number,
            contract=ContractView.of(intent.contract),
            side=intent.side,
            quantity=intent.quantity,
            filled=order.filled,
            average_price=shown_price(order.value / order.filled) if order.filled else None,
            limit=price(intent.limit if order.limit is None else order.limit),
            state=order.state,
            reason=order.reason,
            message=order.message,
            broker_order_id=order.broker_order_id,
            decided_at=intent.decided_at.astimezone(IST),
            updated_at=order.updated_at.astimezone(IST),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountsView:
    """Rupees, exact: not rounded, so that parts add up to their whole to the last digit."""

    realised: str
    """On units closed on the day, before charges."""
    unrealised: str | None
    """On units open, since they were entered; null where one of them has no price."""
    charges: str | None
    """Brokerage, taxes and fees; null where a rate is not known."""
    net: str | None
    """Realised less charges: the day's record."""
    mtm: str | None
    """Net and unrealised."""

    @classmethod
    def of(cls, made: Made) -> "AmountsView":
        return cls(
            realised=exact(made.realised),
            unrealised=maybe_exact(made.unrealised),
            charges=maybe_exact(made.charges),
            net=maybe_exact(made.net),
            mtm=maybe_exact(made.mtm),
        )


def exact(amount: Decimal) -> str:
    """An amount with all its decimals, at least 2, and no exponent."""
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def maybe_exact(amount: Decimal | None) -> str | None:
    return None if amount is None else exact(amount)


def shown(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else rupees(amount)


def shown_price(value: Decimal | None) -> Decimal | None:
    return None if value is None else price(value)


def exchange_time(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(IST)
