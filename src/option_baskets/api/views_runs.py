"""What a run looks like on the wire, in a list and whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from option_baskets.api.views_trading import ContractView, LegView, OrderView, exchange_time, shown, shown_price
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.ids import Action, public_run_id
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import ZERO, price, rupees
from option_baskets.domain.order import Fill, Order, OrderState
from option_baskets.domain.pending import Cause
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.profits import Made, unrealised


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """A run in a list."""

    id: str
    """`{date}~{strategy}~{cycle}`."""
    basket_id: str
    basket: str
    strategy_id: str
    strategy: str
    date: date
    """The day it was entered on, or was to be."""
    cycle: int
    status: RunStatus
    reason: Reason | None
    """Why it was skipped or failed."""
    detail: str
    entry_at: datetime
    exit_at: datetime
    closed_at: datetime | None
    """When the last unit so far was closed."""
    asked_by: str | None
    """Who entered it by hand; null: its schedule did, or a restart."""
    accounts: tuple[str, ...]
    realised: Decimal
    """Rupees over all accounts on units closed so far, before charges."""

    @classmethod
    def of(cls, run: Run) -> "SummaryView":
        return cls(
            id=public_run_id(run.id),
            basket_id=run.basket.id,
            basket=run.basket.name,
            strategy_id=run.strategy.id,
            strategy=run.strategy.name,
            date=run.date,
            cycle=run.cycle,
            status=run.status,
            reason=run.reason,
            detail=run.detail,
            entry_at=run.entry_at.astimezone(IST),
            exit_at=run.exit_at.astimezone(IST),
            closed_at=exchange_time(run.closed_at),
            asked_by=None if run.asked is None else run.asked.by,
            accounts=_accounts(run),
            realised=rupees(sum((each.gross for each in run.positions), ZERO)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingView:
    """An entry that may still come."""

    leg: str
    account: str
    entry_number: int
    side: Side
    lots: int
    cause: Cause
    contract: ContractView | None
    """Null: chosen when it is entered."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTradedView:
    """Units that were meant to be traded and were not."""

    leg: str
    account: str
    quantity: int
    reason: Reason
    detail: str
    at: datetime | None
    """Null: at the entry of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillView:
    order_id: str
    at: datetime
    quantity: int
    price: Decimal | None
    """Average, rupees per unit."""
    value: Decimal
    """Rupees."""

    @classmethod
    def of(cls, fill: Fill) -> "FillView":
        return cls(
            order_id=fill.intent_id,
            at=fill.at.astimezone(IST),
            quantity=fill.quantity,
            price=shown_price(fill.value / fill.quantity) if fill.quantity else None,
            value=rupees(fill.value),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What the run made on one account until now, rupees."""

    account: str
    realised: Decimal
    unrealised: Decimal | None
    """Null: something open has no price."""
    charges: Decimal | None
    """Null: a rate is not known."""
    net: Decimal | None
    """Realised less charges."""
    mtm: Decimal | None
    """Net and unrealised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run with all that became of it."""

    run: SummaryView
    underlying: str
    strategy_version: int
    """Of the plan it was entered with."""
    basket_version: int
    followed_by: str | None
    """The run of the next cycle, which began when this one closed."""
    legs: tuple[LegView, ...]
    waiting: tuple[WaitingView, ...]
    not_traded: tuple[NotTradedView, ...]
    accounts: tuple[AccountView, ...]
    orders: tuple[OrderView, ...]
    """In the order they were decided."""
    fills: tuple[FillView, ...]
    """In order of time."""


def run_view(
    run: Run,
    orders: Iterable[Order],
    fills: Iterable[Fill],
    charges: Mapping[str, Decimal | None],
    market: Snapshot | None,
) -> RunView:
    """The run whole. ``charges`` are all of its so far, by account."""
    decided = sorted(orders, key=lambda each: (each.intent.decided_at, each.intent.id))
    return RunView(
        run=SummaryView.of(run),
        underlying=run.strategy.underlying,
        strategy_version=run.strategy.version,
        basket_version=run.basket.version,
        followed_by=public_run_id(run.followed_by) if run.followed_by else None,
        legs=tuple(map(LegView.of, run.positions)),
        waiting=tuple(
            WaitingView(
                leg=each.leg,
                account=each.account,
                entry_number=each.entry_number,
                side=each.side,
                lots=each.lots,
                cause=each.cause,
                contract=None if each.contract is None else ContractView.of(each.contract),
                detail=each.detail,
            )
            for each in run.pending
        ),
        not_traded=tuple(
            NotTradedView(
                leg=each.leg,
                account=each.account,
                quantity=each.quantity,
                reason=each.reason,
                detail=each.detail,
                at=exchange_time(each.at),
            )
            for each in run.shortfalls
        ),
        accounts=tuple(_account(run, account, charges, market) for account in _accounts(run)),
        orders=tuple(map(OrderView.of, decided)),
        fills=tuple(map(FillView.of, sorted(fills, key=lambda each: (each.at, each.intent_id, each.number)))),
    )


def _account(run: Run, account: str, charges: Mapping[str, Decimal | None], market: Snapshot | None) -> AccountView:
    positions = [each for each in run.positions if each.account == account]
    made = sum(
        (Made(realised=each.gross, unrealised=unrealised(each, market) if each.open else ZERO) for each in positions),
        Made(charges=charges.get(account, ZERO)),
    )
    return AccountView(
        account=account,
        realised=rupees(made.realised),
        unrealised=shown(made.unrealised),
        charges=shown(made.charges),
        net=shown(made.net),
        mtm=shown(made.mtm),
    )


def _accounts(run: Run) -> tuple[str, ...]:
    """Those it is allocated to, and any it holds something on."""
    named = [*(each.account for each in run.allocations), *(each.account for each in run.positions)]
    return tuple(dict.fromkeys(named))


# ---------------------------------------------------------------- examples

_AT = datetime(2026, 11, 24, 9, 20, tzinfo=IST)
CALL = ContractView(
    underlying="NIFTY",
    expiry=date(2026, 11, 24),
    type=ContractType.CE,
    strike="26000",
    name="NIFTY 24-Nov-2026 26000 CE",
)
SUMMARY = SummaryView(
    id="2026-11-24~income.straddle~0",
    basket_id="income",
    basket="Income",
    strategy_id="income.straddle",
    strategy="Straddle",
    date=date(2026, 11, 24),
    cycle=0,
    status=RunStatus.CLOSED,
    reason=None,
    detail="",
    entry_at=_AT,
    exit_at=_AT.replace(hour=15, minute=15),
    closed_at=_AT.replace(hour=15, minute=15, second=1),
    asked_by=None,
    accounts=("zerodha-1",),
    realised=Decimal("2437.50"),
)
ORDER = OrderView(
    id="UI6NW5SZM3RXWGK2ZQ5A",
    run_id=SUMMARY.id,
    strategy_id=SUMMARY.strategy_id,
    leg="1",
    account="zerodha-1",
    entry_number=0,
    action=Action.ENTER,
    cause=None,
    attempt=0,
    slice=0,
    contract=CALL,
    side=Side.SELL,
    quantity=65,
    filled=65,
    average_price=price(Decimal("101.05")),
    limit=price(Decimal("96.00")),
    state=OrderState.FILLED,
    reason=None,
    message="",
    broker_order_id="P-1",
    decided_at=_AT,
    updated_at=_AT,
)
FILL = FillView(
    order_id=ORDER.id, at=_AT, quantity=65, price=price(Decimal("101.05")), value=rupees(Decimal("6568.25"))
)
RUN = RunView(
    run=SUMMARY,
    underlying="NIFTY",
    strategy_version=3,
    basket_version=1,
    followed_by=None,
    legs=(
        LegView(
            leg="1",
            account="zerodha-1",
            entry_number=0,
            contract=CALL,
            side=Side.SELL,
            lots=1,
            quantity=65,
            entered=65,
            open=0,
            entry_time=_AT,
            entry_price=price(Decimal("101.05")),
            exit_time=SUMMARY.closed_at,
            exit_price=price(Decimal("63.55")),
            exit_reason=ExitReason.TIME,
            not_entered=None,
            realised=rupees(Decimal("2437.50")),
            settled=0,
            closed_outside=0,
        ),
    ),
    waiting=(),
    not_traded=(),
    accounts=(
        AccountView(
            account="zerodha-1",
            realised=rupees(Decimal("2437.50")),
            unrealised=rupees(ZERO),
            charges=rupees(Decimal("61.42")),
            net=rupees(Decimal("2376.08")),
            mtm=rupees(Decimal("2376.08")),
        ),
    ),
    orders=(ORDER,),
    fills=(FILL,),
)
