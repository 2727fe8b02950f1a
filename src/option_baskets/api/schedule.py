"""The schedule of a day: its sessions, what enters and leaves when, and why a strategy does not."""

from dataclasses import dataclass
from datetime import date as Date  # noqa: N812  ``date`` is a parameter's name
from datetime import datetime, time

from fastapi import APIRouter, Response

from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.market_time import Day, prices_now, today
from option_baskets.api.views_runs import SUMMARY
from option_baskets.api.views_trading import exchange_time
from option_baskets.domain.facts import Exchange, SessionKind
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.reasons import Reason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import IST, Session
from option_baskets.engine.agenda import Agenda, Entry, agenda_of, why_closed

router = APIRouter(tags=["schedule"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanView:
    """Half open: at `end` it is over."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """An exchange on the day."""

    exchange: Exchange
    kind: SessionKind | None
    """Null: there is no session."""
    windows: tuple[SpanView, ...]
    """Continuous trading."""
    halts: tuple[SpanView, ...]
    closed_because: str | None
    """E.g. the name of the holiday."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedView:
    """A run of the day."""

    id: str
    cycle: int
    status: RunStatus
    reason: Reason | None
    entry_at: datetime
    exit_at: datetime

    @classmethod
    def of(cls, run: Run) -> "ClaimedView":
        return cls(
            id=public_run_id(run.id),
            cycle=run.cycle,
            status=run.status,
            reason=run.reason,
            entry_at=run.entry_at.astimezone(IST),
            exit_at=run.exit_at.astimezone(IST),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """A strategy on the day, by its plan as it is now."""

    basket_id: str
    strategy_id: str
    strategy: str
    underlying: str
    entry: str
    """HH:MM, as it is written."""
    accounts: tuple[str, ...]
    due: bool
    """Its weekday, DTE, holding and the session say that it trades; `reason` may keep it from it."""
    entry_at: datetime | None
    """Null: not due."""
    exit_at: datetime | None
    reason: Reason | None
    """Why it is not entered, what has not been entered yet; null: it is."""
    detail: str
    """Why, or what was adjusted."""
    runs: tuple[ClaimedView, ...]
    """What was claimed for the day, by cycle."""

    @classmethod
    def of(cls, entry: Entry) -> "EntryView":
        planned = entry.planned
        return cls(
            basket_id=entry.basket.id,
            strategy_id=entry.strategy.id,
            strategy=entry.strategy.name,
            underlying=entry.strategy.underlying,
            entry=f"{entry.strategy.schedule.entry:%H:%M}",
            accounts=entry.accounts,
            due=planned is not None,
            entry_at=exchange_time(planned.entry_at if planned is not None else None),
            exit_at=exchange_time(planned.exit_at if planned is not None else None),
            reason=entry.reason,
            detail=entry.detail,
            runs=tuple(map(ClaimedView.of, entry.runs)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitView:
    """An open run that leaves on the day, whichever day it was entered."""

    run_id: str
    strategy_id: str
    strategy: str
    status: RunStatus
    exit_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    date: Date
    sessions: tuple[SessionView, ...]
    entries: tuple[EntryView, ...]
    """Every strategy, by entry time, then by id."""
    exits: tuple[ExitView, ...]
    """By time."""


def _session_view(exchange: Exchange, session: Session | None, why: str) -> SessionView:
    windows = session.windows if session is not None else ()
    halts = session.halts if session is not None else ()
    return SessionView(
        exchange=exchange,
        kind=None if session is None else session.kind,
        windows=tuple(SpanView(start=each.open.astimezone(IST), end=each.close.astimezone(IST)) for each in windows),
        halts=tuple(SpanView(start=each.open.astimezone(IST), end=each.close.astimezone(IST)) for each in halts),
        closed_because=why if session is None else None,
    )


def _schedule_view(agenda: Agenda, closed: dict[Exchange, str]) -> ScheduleView:
    return ScheduleView(
        date=agenda.day,
        sessions=tuple(_session_view(exchange, each, closed[exchange]) for exchange, each in agenda.sessions.items()),
        entries=tuple(map(EntryView.of, agenda.entries)),
        exits=tuple(
            ExitView(
                run_id=public_run_id(run.id),
                strategy_id=run.strategy.id,
                strategy=run.strategy.name,
                status=run.status,
                exit_at=run.exit_at.astimezone(IST),
            )
            for run in agenda.exits
        ),
    )


def _at(hour: int, minute: int) -> datetime:
    return datetime.combine(Date(2026, 11, 24), time(hour, minute), IST)


_EXAMPLE = ScheduleView(
    date=Date(2026, 11, 24),
    sessions=(
        SessionView(
            exchange=Exchange.NSE,
            kind=SessionKind.NORMAL,
            windows=(SpanView(start=_at(9, 15), end=_at(15, 40)),),
            halts=(),
            closed_because=None,
        ),
    ),
    entries=(
        EntryView(
            basket_id=SUMMARY.basket_id,
            strategy_id=SUMMARY.strategy_id,
            strategy=SUMMARY.strategy,
            underlying="NIFTY",
            entry="09:20",
            accounts=("zerodha-1",),
            due=True,
            entry_at=_at(9, 20),
            exit_at=_at(15, 15),
            reason=None,
            detail="",
            runs=(
                ClaimedView(
                    id=SUMMARY.id,
                    cycle=0,
                    status=RunStatus.SCHEDULED,
                    reason=None,
                    entry_at=_at(9, 20),
                    exit_at=_at(15, 15),
                ),
            ),
        ),
    ),
    exits=(
        ExitView(
            run_id=SUMMARY.id,
            strategy_id=SUMMARY.strategy_id,
            strategy=SUMMARY.strategy,
            status=RunStatus.SCHEDULED,
            exit_at=_at(15, 15),
        ),
    ),
)


@router.get(
    "/options/schedule",
    summary="What enters and leaves on a day",
    responses=answers(ScheduleView, example=_EXAMPLE),
    response_model=None,
)
async def get_schedule(asker: Asking, date: Day = None) -> Response:
    """The sessions of a day, every strategy with its entry and exit or why it has none, and the runs that leave.

    It follows the plans as they are now. On the market's own day expiries are those of its contract list, on any other
    day those of the calendar.
    """
    platform = asker.platform
    day = date if date is not None else today(platform)
    market = await prices_now(platform) if day == today(platform) else None
    agenda = await agenda_of(
        asker.books, platform.facts, user_id=asker.user_id, day=day, market=market, session=platform.session()
    )
    closed = {exchange: why_closed(platform.facts, day, exchange) for exchange in agenda.sessions}
    return Answer(_schedule_view(agenda, closed))
