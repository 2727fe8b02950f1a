"""What is open, and what a day made so far: by strategy and account, account, basket, or altogether."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812  ``date`` is a parameter's name
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response

from option_baskets.api.filters import AccountFilter, StrategyFilter
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Paged
from option_baskets.api.market_time import Day, prices_now, today
from option_baskets.api.views_runs import CALL, SUMMARY
from option_baskets.api.views_trading import (
    AmountsView,
    ContractView,
    exchange_time,
    maybe_exact,
    shown,
    shown_price,
)
from option_baskets.domain.contract import Side
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.money import rupees
from option_baskets.domain.session import IST
from option_baskets.engine.positions import Marks, Open, open_legs
from option_baskets.engine.profits import Made, Part, Profits, profits_of

router = APIRouter(tags=["positions"])


@dataclass(frozen=True, slots=True, kw_only=True)
class GreeksView:
    """Of the whole position, in rupees."""

    delta: float
    """Per point of the index."""
    gamma: float
    """Per point squared."""
    theta: float
    """Per calendar day."""
    vega: float
    """Per volatility point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """One leg of a run that is open on one account."""

    run_id: str
    basket_id: str
    strategy_id: str
    strategy: str
    leg: str
    account: str
    entry_number: int
    contract: ContractView
    side: Side
    open: int
    """Units held; below zero where more was closed than was held, and the position is turned round."""
    lot_size: int
    entry_time: datetime | None
    entry_price: Decimal | None
    mark: Decimal | None
    """The last price known, else the last close's; rupees per unit."""
    marked_at: datetime | None
    """When the feed last confirmed it; null for the last close's."""
    realised: Decimal
    """Rupees on units of it that were closed, before charges."""
    unrealised: Decimal | None
    """Rupees on the units held, since their entry."""
    greeks: GreeksView | None
    """Null: there is no price, or no chain to tell them from."""

    @classmethod
    def of(cls, held: Open) -> "PositionView":
        run, leg, greeks = held.run, held.position, held.greeks
        return cls(
            run_id=public_run_id(run.id),
            basket_id=run.basket.id,
            strategy_id=run.strategy.id,
            strategy=run.strategy.name,
            leg=leg.leg,
            account=leg.account,
            entry_number=leg.entry_number,
            contract=ContractView.of(leg.contract),
            side=leg.side,
            open=leg.open,
            lot_size=leg.lot_size,
            entry_time=exchange_time(leg.entry_time),
            entry_price=shown_price(leg.entry_price),
            mark=shown_price(held.mark),
            marked_at=exchange_time(held.marked_at),
            realised=rupees(leg.gross),
            unrealised=shown(held.unrealised),
            greeks=None
            if greeks is None
            else GreeksView(delta=greeks.delta, gamma=greeks.gamma, theta=greeks.theta, vega=greeks.vega),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionsView:
    as_of: datetime
    """Of the prices."""
    items: tuple[PositionView, ...]
    next: str | None
    """Give it back as `cursor`; null at the end."""


_AT = datetime(2026, 11, 24, 9, 25, tzinfo=IST)
_POSITION = PositionView(
    run_id=SUMMARY.id,
    basket_id=SUMMARY.basket_id,
    strategy_id=SUMMARY.strategy_id,
    strategy=SUMMARY.strategy,
    leg="1",
    account="zerodha-1",
    entry_number=0,
    contract=CALL,
    side=Side.SELL,
    open=65,
    lot_size=65,
    entry_time=SUMMARY.entry_at,
    entry_price=Decimal("101.0500"),
    mark=Decimal("95.4000"),
    marked_at=_AT,
    realised=Decimal("0.00"),
    unrealised=Decimal("367.25"),
    greeks=GreeksView(delta=-33.8, gamma=-0.062, theta=2412.5, vega=-148.1),
)


@router.get(
    "/options/positions",
    summary="List open positions",
    responses=answers(
        PositionsView,
        description="What is open, by run, leg, account and entry.",
        example=PositionsView(as_of=_AT, items=(_POSITION,), next=None),
    ),
    response_model=None,
)
async def list_positions(
    asker: Asking, paging: Paged, strategy_id: StrategyFilter = None, account: AccountFilter = None
) -> Response:
    """Every open leg of every run on every account, marked at the prices known now."""
    now = asker.platform.market.now()
    market = await prices_now(asker.platform)
    marks = Marks(facts=asker.platform.facts, market=market, session=asker.platform.session())
    held = [
        (run, leg)
        for run, leg in open_legs(await asker.books.open_runs(asker.user_id))
        if strategy_id in {None, run.strategy.id} and account in {None, leg.account}
    ]
    page = paging.of(
        held,
        lambda each: "\x1f".join((each[0].id, *each[1].key[:2], f"{each[1].entry_number:06d}")),
        lambda each: PositionView.of(marks.of(*each)),
    )
    as_of = (now if market is None else market.at).astimezone(IST)
    return Answer(PositionsView(as_of=as_of, items=page.items, next=page.next))


class By(StrEnum):
    STRATEGY = "strategy"
    ACCOUNT = "account"
    BASKET = "basket"
    USER = "user"


_KEYS: dict[By, Callable[[Part], tuple[str, ...]]] = {
    By.STRATEGY: lambda part: (part.basket_id, part.strategy_id, part.account),
    By.ACCOUNT: lambda part: (part.account,),
    By.BASKET: lambda part: (part.basket_id,),
    By.USER: lambda _: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitView:
    """One strategy on one account, one account, one basket, or everything; null: it is not told apart by it."""

    basket_id: str | None
    basket: str | None
    strategy_id: str | None
    strategy: str | None
    account: str | None
    amounts: AmountsView


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitsView:
    date: Date
    by: By
    as_of: datetime | None
    """Of the prices; null where the day is not today's."""
    items: tuple[ProfitView, ...]
    rounding: dict[str, str | None]
    """By account what rounding STT and stamp duty to the rupee adds to the charges of its contract note. In no item."""
    total: AmountsView
    """Items and rounding: what the day's record says."""


def _profits_view(found: Profits, by: By, as_of: datetime | None) -> ProfitsView:
    baskets = {part.basket_id: part.basket for part in found.parts}
    strategies = {part.strategy_id: part.strategy for part in found.parts}

    def item(key: tuple[str, ...], made: Made) -> ProfitView:
        basket = key[0] if by in {By.STRATEGY, By.BASKET} else None
        strategy = key[1] if by is By.STRATEGY else None
        return ProfitView(
            basket_id=basket,
            basket=None if basket is None else baskets[basket],
            strategy_id=strategy,
            strategy=None if strategy is None else strategies[strategy],
            account=key[-1] if by in {By.STRATEGY, By.ACCOUNT} else None,
            amounts=AmountsView.of(made),
        )

    return ProfitsView(
        date=found.day,
        by=by,
        as_of=as_of,
        items=tuple(item(key, made) for key, made in found.by(_KEYS[by]).items()),
        rounding={account: maybe_exact(amount) for account, amount in found.rounding.items()},
        total=AmountsView.of(found.total),
    )


_MADE = AmountsView(realised="2437.50", unrealised="0.00", charges="61.4213", net="2376.0787", mtm="2376.0787")
_PROFITS = ProfitsView(
    date=Date(2026, 11, 24),
    by=By.STRATEGY,
    as_of=_AT,
    items=(
        ProfitView(
            basket_id=SUMMARY.basket_id,
            basket=SUMMARY.basket,
            strategy_id=SUMMARY.strategy_id,
            strategy=SUMMARY.strategy,
            account="zerodha-1",
            amounts=_MADE,
        ),
    ),
    rounding={"zerodha-1": "-0.4213"},
    total=AmountsView(realised="2437.50", unrealised="0.00", charges="61.00", net="2376.50", mtm="2376.50"),
)


@router.get(
    "/options/pnl",
    summary="Profit and loss of a day",
    responses=answers(ProfitsView, example=_PROFITS),
    response_model=None,
)
async def get_profits(
    asker: Asking,
    by: Annotated[By, Query(description="What is told apart; `strategy` is strategy by account.")] = By.STRATEGY,
    date: Day = None,
) -> Response:
    """Realised and unrealised profit, charges and net of a day, while it goes on and after it.

    Amounts are exact: items and rounding add up to the total to the last digit, whatever they are told apart by. After
    the close the total is the day's record.
    """
    now = today(asker.platform)
    day = date if date is not None else now
    market = await prices_now(asker.platform) if day == now else None
    found = await profits_of(
        asker.books, asker.platform.facts, user_id=asker.user_id, day=day, today=now, market=market
    )
    as_of = None if market is None else market.at.astimezone(IST)
    return Answer(_profits_view(found, by, as_of))
