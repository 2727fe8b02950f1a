"""Orders: of a day, and each with its steps and fills."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from option_baskets.api.filters import AccountFilter, StrategyFilter
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.market_time import Day, today
from option_baskets.api.views_runs import FILL, ORDER, FillView
from option_baskets.api.views_trading import OrderView, shown_price
from option_baskets.domain.errors import NotFound
from option_baskets.domain.order import Change, Order, OrderState, Step
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import IST

router = APIRouter(tags=["orders"])


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """What an order was from an instant on, or what was asked for it."""

    at: datetime
    step: Step
    """`engine`: we moved it on; `broker`: its broker said so; `cancel`, `reprice`: we asked for it."""
    state: OrderState
    filled: int
    limit: Decimal | None
    reason: Reason | None
    message: str

    @classmethod
    def of(cls, change: Change) -> "StepView":
        return cls(
            at=change.at.astimezone(IST),
            step=change.step,
            state=change.state,
            filled=change.filled,
            limit=shown_price(change.limit),
            reason=change.reason,
            message=change.message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWithSteps:
    order: OrderView
    steps: tuple[StepView, ...]
    """Everything since it was decided, in the order it was learned."""
    fills: tuple[FillView, ...]


_STEP = StepView(
    at=ORDER.updated_at,
    step=Step.BROKER,
    state=OrderState.FILLED,
    filled=65,
    limit=ORDER.limit,
    reason=None,
    message="",
)


@router.get(
    "/options/orders",
    summary="List orders of a day",
    responses=answers(
        Page[OrderView],
        description="Orders decided on the day, the newest first.",
        example=Page(items=(ORDER,), next=None),
    ),
    response_model=None,
)
async def list_orders(
    asker: Asking,
    paging: Paged,
    date: Day = None,
    state: Annotated[OrderState | None, Query(description="Only in this state.")] = None,
    strategy_id: StrategyFilter = None,
    account: AccountFilter = None,
) -> Response:
    """Entries and exits of a day, each order in the state it is in now."""

    def takes(order: Order) -> bool:
        intent = order.intent
        wanted = ((state, order.state), (strategy_id, intent.strategy_id), (account, intent.account))
        return all(asked is None or asked == found for asked, found in wanted)

    day = date if date is not None else today(asker.platform)
    found = await asker.books.orders_listed(asker.user_id, day, takes=takes, after=paging.cursor, most=paging.limit)
    return Answer(Page(items=tuple(map(OrderView.of, found.items)), next=paging.seal(found.after)))


@router.get(
    "/options/orders/{order_id}",
    summary="One order with its steps and fills",
    responses=answers(OrderWithSteps, example=OrderWithSteps(order=ORDER, steps=(_STEP,), fills=(FILL,))),
    response_model=None,
)
async def get_order(
    asker: Asking, order_id: Annotated[str, Path(max_length=100, description="Also its tag at the broker.")]
) -> Response:
    """An order with every step it went through, and each of its fills."""
    order = await asker.books.order(asker.user_id, order_id)
    if order is None:
        raise NotFound("there is no such order")
    fills = await asker.books.fills_of_order(asker.user_id, order.intent.run_id, order.intent.id)
    steps = tuple(map(StepView.of, order.changes))
    return Answer(OrderWithSteps(order=OrderView.of(order), steps=steps, fills=tuple(map(FillView.of, fills))))
