"""What the dated facts say of a month: sessions, holidays, expiries and lot sizes."""

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812  a field's name
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.market_time import today
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Exchange, Facts, ListedSeries, SessionKind
from option_baskets.domain.instrument import ListedExpiry, all_expiries, lot_size
from option_baskets.domain.session import IST, Session, session_on

router = APIRouter(tags=["calendar"])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursView:
    """Half open: at ``end`` it is over."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringView:
    underlying: str
    series: ListedSeries
    lot_size: int | None
    """Units; null: no fact says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDayView:
    exchange: Exchange
    kind: SessionKind | None
    """Null: no session."""
    hours: tuple[HoursView, ...]
    holiday: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    date: Date
    exchanges: tuple[ExchangeDayView, ...]
    expiring: tuple[ExpiringView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarView:
    month: str
    is_sure: bool
    """The holidays of the year are known; otherwise days follow the weekdays alone."""
    days: tuple[DayView, ...]


def _exchange_day(facts: Facts, day: Date, exchange: Exchange) -> ExchangeDayView:
    session: Session | None = session_on(facts, day, exchange)
    holiday = facts.holidays.get((exchange, day))
    windows = session.windows if session is not None else ()
    return ExchangeDayView(
        exchange=exchange,
        kind=None if session is None else session.kind,
        hours=tuple(HoursView(start=each.open.astimezone(IST), end=each.close.astimezone(IST)) for each in windows),
        holiday=None if holiday is None else holiday.name,
    )


def _expiring(facts: Facts, name: str, expiry: ListedExpiry) -> ExpiringView:
    try:
        lot = lot_size(facts, name, expiry.date, expiry.series, expiry.date)
    except Invalid:
        lot = None
    return ExpiringView(underlying=name, series=expiry.series, lot_size=lot)


def _calendar(facts: Facts, first: Date) -> CalendarView:
    following = (first + timedelta(days=31)).replace(day=1)
    days = [first + timedelta(days=n) for n in range((following - first).days)]
    expiries = {name: all_expiries(facts, name, days[0], days[-1]) for name in facts.names}
    return CalendarView(
        month=f"{first:%Y-%m}",
        is_sure=first.year in facts.holiday_years,
        days=tuple(
            DayView(
                date=day,
                exchanges=tuple(_exchange_day(facts, day, exchange) for exchange in Exchange),
                expiring=tuple(
                    _expiring(facts, name, each)
                    for name, dated in expiries.items()
                    for each in dated
                    if each.date == day
                ),
            )
            for day in days
        ),
    )


_NINE, _FOUR = (datetime(2026, 11, 24, hour, minute, tzinfo=IST) for hour, minute in ((9, 15), (15, 40)))
_EXAMPLE = CalendarView(
    month="2026-11",
    is_sure=True,
    days=(
        DayView(
            date=Date(2026, 11, 24),
            exchanges=(
                ExchangeDayView(
                    exchange=Exchange.NSE,
                    kind=SessionKind.NORMAL,
                    hours=(HoursView(start=_NINE, end=_FOUR),),
                    holiday=None,
                ),
            ),
            expiring=(ExpiringView(underlying="NIFTY", series=ListedSeries.WEEKLY, lot_size=65),),
        ),
    ),
)


@router.get(
    "/options/calendar",
    summary="Sessions, holidays, expiries and lots of a month",
    responses=answers(CalendarView, example=_EXAMPLE),
    response_model=None,
)
async def get_calendar(
    asker: Asking,
    month: Annotated[
        str | None,
        Query(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$", description="YYYY-MM; default: the month it is on the market."),
    ] = None,
) -> Response:
    """From dated facts (docs/market-facts.md)."""
    platform = asker.platform
    first = today(platform).replace(day=1) if month is None else Date.fromisoformat(f"{month}-01")
    return Answer(_calendar(platform.facts, first))
