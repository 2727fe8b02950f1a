"""What a person should know: alerts, and what was refused."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Response

from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.market_time import Day, today
from option_baskets.api.views_runs import SUMMARY
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import IST
from option_baskets.store import keys
from option_baskets.store.books import Alert, Books, Level, Refusal

router = APIRouter(tags=["alerts"])


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    id: str
    """The same in the stream."""
    at: datetime
    level: Level
    code: str
    """Stable."""
    message: str
    strategy_id: str | None
    run_id: str | None
    account: str | None
    subject: str | None
    """What it is about: a tag, a contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalView:
    id: str
    """The same in the stream."""
    at: datetime
    strategy_id: str
    run_id: str | None
    account: str | None
    leg: str | None
    quantity: int
    """Units not traded; 0 where no quantity was known yet."""
    reason: Reason
    detail: str


def alert_view(books: Books, alert: Alert) -> AlertView:
    return AlertView(
        id=books.put_alert(alert).item.sk,
        at=alert.at.astimezone(IST),
        level=alert.level,
        code=alert.code,
        message=alert.message,
        strategy_id=alert.strategy_id or None,
        run_id=public_run_id(alert.run_id) if alert.run_id else None,
        account=alert.account or None,
        subject=alert.subject or None,
    )


def refusal_view(books: Books, refusal: Refusal) -> RefusalView:
    return RefusalView(
        id=books.put_refusal(refusal).item.sk,
        at=refusal.at.astimezone(IST),
        strategy_id=refusal.strategy_id,
        run_id=public_run_id(refusal.run_id) if refusal.run_id else None,
        account=refusal.account or None,
        leg=refusal.leg or None,
        quantity=refusal.quantity,
        reason=refusal.reason,
        detail=refusal.detail,
    )


_AT = datetime(2026, 11, 24, 9, 20, tzinfo=IST)
_ALERT = AlertView(
    id=f"{keys.timestamp(_AT)}#{SUMMARY.strategy_id}#ALERT#drift#0c5b83f0a1d2",
    at=_AT,
    level=Level.CRITICAL,
    code="drift",
    message="zerodha-1 holds 65 units of NIFTY 24-Nov-2026 26000 CE that no run of ours has",
    strategy_id=None,
    run_id=None,
    account="zerodha-1",
    subject="NIFTY|2026-11-24|00026000.00|CE",
)
_REFUSAL = RefusalView(
    id=f"{keys.timestamp(_AT)}#{SUMMARY.strategy_id}#RISK#stale_quote#9d1e5a7b3c40",
    at=_AT,
    strategy_id=SUMMARY.strategy_id,
    run_id=SUMMARY.id,
    account=None,
    leg=None,
    quantity=0,
    reason=Reason.STALE_QUOTE,
    detail="NIFTY 24-Nov-2026 26000 CE: its price of 101.05 is from 09:14:20, over 180 s old",
)


@router.get(
    "/options/alerts",
    summary="List alerts of a day",
    responses=answers(Page[AlertView], description="The newest first.", example=Page(items=(_ALERT,), next=None)),
    response_model=None,
)
async def list_alerts(asker: Asking, paging: Paged, date: Day = None) -> Response:
    """What the engine raised for a person to see."""
    books, day = asker.books, date if date is not None else today(asker.platform)
    found = await books.alerts_listed(asker.user_id, day, after=paging.cursor, most=paging.limit)
    items = tuple(alert_view(books, each) for each in found.items)
    return Answer(Page(items=items, next=paging.seal(found.after)))


@router.get(
    "/options/refusals",
    summary="List refusals of a day",
    responses=answers(Page[RefusalView], description="The newest first.", example=Page(items=(_REFUSAL,), next=None)),
    response_model=None,
)
async def list_refusals(asker: Asking, paging: Paged, date: Day = None) -> Response:
    """What risk or a rule did not let pass, with the reason."""
    books, day = asker.books, date if date is not None else today(asker.platform)
    found = await books.refusals_listed(asker.user_id, day, after=paging.cursor, most=paging.limit)
    items = tuple(refusal_view(books, each) for each in found.items)
    return Answer(Page(items=items, next=paging.seal(found.after)))
