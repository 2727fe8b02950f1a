"""Whether a strategy is due on a day, and when exactly: weekday, DTE, session. Applied to what a query returns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from option_baskets.domain.basket import Strategy, Weekday
from option_baskets.domain.session import IST, Session

BEFORE_CLOSE = timedelta(minutes=2)
"""An exit that lies outside the session is moved to this long before its close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The instants of one run, and a note where one was moved."""

    entry: datetime
    exit: datetime
    note: str = ""


def is_due(strategy: Strategy, session: Session, earliest_expiry: date | None, dte: Callable[[date], int]) -> bool:
    """Whether the strategy trades on the session's day.

    ``earliest_expiry`` is that of its legs by the contract list, None if nothing is listed; ``dte`` counts the trading
    days after today up to and including a date. A special session is traded only by strategies that ask for it; their
    weekdays do not apply to it.
    """
    if session.is_special:
        if not strategy.special_sessions:
            return False
    elif session.date.weekday() >= len(Weekday) or tuple(Weekday)[session.date.weekday()] not in strategy.schedule.days:
        return False
    if not strategy.schedule.dte:
        return True
    return earliest_expiry is not None and dte(earliest_expiry) in strategy.schedule.dte


def times(strategy: Strategy, session: Session) -> Times:
    """The entry and exit instants on the session's day. An exit outside the session is moved, never dropped."""
    entry = datetime.combine(session.date, strategy.schedule.entry, IST)
    exit_ = datetime.combine(session.date, strategy.schedule.exit, IST)
    if session.is_trading(exit_):
        return Times(entry=entry, exit=exit_)
    moved = session.close - BEFORE_CLOSE
    note = f"exit moved from {exit_:%H:%M} to {moved:%H:%M}, before the close at {session.close:%H:%M}"
    return Times(entry=entry, exit=moved, note=note)
