"""The history: everything that happened, as rows, with who did it and why."""

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812  ``date`` is a parameter's name
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response

from option_baskets.api.filters import AccountFilter, RunFilter, StrategyFilter, stored_run
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.market_time import DAY_SCHEMA, FIRST, LAST, today
from option_baskets.api.views_trading import shown_price
from option_baskets.domain.errors import Invalid
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.session import IST
from option_baskets.engine.audit import Only, Row
from option_baskets.engine.past import Place, part_of
from option_baskets.store.lists import whole

router = APIRouter(tags=["executions"])


class Order(StrEnum):
    DESC = "desc"
    ASC = "asc"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One thing that happened; null where a field does not apply."""

    time: datetime
    actor: str
    """`engine`, `broker`, or who did it."""
    what: str
    """Stable, e.g. `entered`, `order.filled`, `exit_decided`, `alert.critical` (docs/audit.md)."""
    strategy_id: str | None
    run_id: str | None
    account: str | None
    leg: str | None
    contract: str | None
    side: str | None
    quantity: int | None
    price: Decimal | None
    cause: str | None
    order_id: str | None
    detail: str | None

    @classmethod
    def of(cls, row: Row) -> "RowView":
        return cls(
            time=row.time.astimezone(IST),
            actor=row.actor,
            what=row.what,
            strategy_id=row.strategy or None,
            run_id=public_run_id(row.run) if row.run else None,
            account=row.account or None,
            leg=row.leg or None,
            contract=row.contract or None,
            side=row.side or None,
            quantity=row.quantity,
            price=shown_price(row.price),
            cause=row.cause or None,
            order_id=row.order or None,
            detail=row.detail or None,
        )


_EXAMPLE = RowView(
    time=datetime(2026, 11, 24, 9, 26, tzinfo=IST),
    actor="engine",
    what="exit_decided",
    strategy_id="income.straddle",
    run_id="2026-11-24~income.straddle~0",
    account="zerodha-1",
    leg="1",
    contract="NIFTY 24-Nov-2026 26000 CE",
    side="SELL",
    quantity=65,
    price=Decimal("130.0000"),
    cause="stop",
    order_id=None,
    detail="level 125.00",
)

_Bound = {"ge": FIRST, "le": LAST, "json_schema_extra": DAY_SCHEMA}


@router.get(
    "/options/history",
    summary="What happened",
    responses=answers(
        Page[RowView],
        description="Rows in order of time. One that is short, or empty, is the last only where `next` is null.",
        example=Page(items=(_EXAMPLE,), next=None),
    ),
    response_model=None,
)
async def list_history(
    asker: Asking,
    paging: Paged,
    first: Annotated[Date, Query(alias="from", description="The first day.", **_Bound)] = FIRST,
    last: Annotated[Date | None, Query(alias="to", description="The last day; today.", **_Bound)] = None,
    order: Annotated[Order, Query(description="The newest or the oldest first.")] = Order.DESC,
    strategy_id: StrategyFilter = None,
    account: AccountFilter = None,
    run_id: RunFilter = None,
) -> Response:
    """Every decision, order, fill, alert and edit of the days asked for, one row each, as `baskets audit` has them.

    A page looks through 31 days at most, counted from the first on which something happened: with a filter that
    matches little, go on with `next` until it is null.
    """
    until = last if last is not None else max(first, today(asker.platform))
    if until < first:
        raise Invalid(f"{until} is before {first}, where it begins", where="query.to")
    part = await part_of(
        asker.books,
        asker.user_id,
        datetime.combine(first, time.min, IST),
        whole(until)[1],
        Only(
            run=stored_run(run_id) if run_id else "",
            strategies=[strategy_id] if strategy_id else (),
            account=account or "",
        ),
        newest_first=order is Order.DESC,
        after=None if paging.cursor is None else Place.parse(paging.cursor),
        most=paging.limit,
    )
    following = None if part.after is None else str(part.after)
    return Answer(Page(items=tuple(map(RowView.of, part.rows)), next=paging.seal(following)))
