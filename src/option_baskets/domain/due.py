"""Whether a strategy is due on a day, and when exactly: weekday, DTE, holding, session.

An exit is never dropped. Where its day or its hours are not what they were taken for, it is moved, and a note says so.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from option_baskets.domain.basket import Holding, Strategy, Weekday
from option_baskets.domain.errors import Refused
from option_baskets.domain.facts import Facts, in_force
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import (
    Session,
    at,
    contract_close,
    next_session_day,
    session_on,
    trading_days_after,
)

BEFORE_CLOSE = timedelta(minutes=2)
"""An exit that lies outside the session is moved to this long before its close."""

BEFORE_SQUARE_OFF = timedelta(minutes=10)
"""An exit of an MIS position is at least this long before the broker squares it off."""


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
    weekdays do not apply to it. A positional strategy is entered on its one day, which a session that does not count
    for holding never is.
    """
    return why_not_due(strategy, session, earliest_expiry, dte) is None


def why_not_due(
    strategy: Strategy, session: Session, earliest_expiry: date | None, dte: Callable[[date], int]
) -> str | None:
    """A sentence for a person, where the strategy does not trade on the session's day; None: it does (``is_due``)."""
    schedule = strategy.schedule
    if session.is_special:
        if not strategy.special_sessions:
            return "a special session is traded only with special_sessions = true"
    elif session.date.weekday() >= len(Weekday) or tuple(Weekday)[session.date.weekday()] not in schedule.days:
        return f"it trades on {', '.join(schedule.days)}; this is a {session.date:%A}"
    days = None if earliest_expiry is None else dte(earliest_expiry)
    away = "no expiry of its legs is listed" if days is None else f"its earliest expiry is {days} trading days away"
    if schedule.holding is Holding.POSITIONAL and (days != schedule.enter_before or not session.counts):
        return f"it is entered {schedule.enter_before} trading days before its earliest expiry; {away}"
    if schedule.dte and days not in schedule.dte:
        return f"it trades at DTE {', '.join(map(str, schedule.dte))}; {away}"
    return None


def times(facts: Facts, strategy: Strategy, session: Session, expiries: Collection[date] = ()) -> Times:
    """The entry on the session's day, and the exit by the strategy's holding.

    ``expiries`` are those of its legs by the contract list; empty where nothing is listed.

    Raises:
        Refused: the exit would come after a leg's expiry, and the strategy does not settle.
    """
    day = exit_day(facts, strategy, session.date, expiries)
    first = min(expiries, default=None)
    if first is not None and day > first and not strategy.settle:
        raise Refused(
            Reason.EXIT_AFTER_EXPIRY,
            f"its exit on {day:%d-%b-%Y} is after the expiry of a leg on {first:%d-%b-%Y}; "
            "settle = true would let that leg settle in cash",
        )
    exit_, note = exit_on(facts, strategy, session if day == session.date else _session(facts, strategy, day), expiries)
    return Times(entry=at(session.date, strategy.schedule.entry), exit=exit_, note=note)


def own_times(strategy: Strategy, session: Session) -> Times:
    """Entry and exit as written, both on the session's day: of a run that is not entered."""
    schedule = strategy.schedule
    return Times(entry=at(session.date, schedule.entry), exit=at(session.date, schedule.exit))


def latest_mis_exits(facts: Facts) -> dict[str, time]:
    """By broker, the last time for an exit of an MIS position by the row that holds from now on."""
    lasting = [row for row in facts.square_offs if row.effective_to is None]
    found = {broker: latest_mis_exit(facts, broker, date.max) for broker in sorted({row.broker for row in lasting})}
    return {broker: latest for broker, latest in found.items() if latest is not None}


def latest_mis_exit(facts: Facts, broker: str, on: date) -> time | None:
    """The last time of day for an exit of an MIS position at a broker; None where its square-off is not known."""
    row = in_force((row for row in facts.square_offs if row.broker == broker), on)
    if row is None:
        return None
    return (datetime.combine(on, row.at) - BEFORE_SQUARE_OFF).time()


def exit_day(facts: Facts, strategy: Strategy, entered: date, expiries: Collection[date]) -> date:
    """The day on which a run entered on a day is left, by the calendar as it is known now.

    Sessions that do not count for holding are no exit days, except for a run that is left on the day it is entered.
    """
    schedule, exchange = strategy.schedule, exchange_of(facts, strategy.underlying)
    if schedule.holding is Holding.INTRADAY:
        return entered
    if schedule.holding is Holding.NEXT_DAY:
        return next_session_day(facts, entered, exchange)
    day, expiry = entered, min(expiries, default=entered)
    while trading_days_after(facts, day, expiry, exchange) > (schedule.exit_before or 0):
        day = next_session_day(facts, day, exchange)
    return day


def exit_on(facts: Facts, strategy: Strategy, session: Session, expiries: Collection[date]) -> tuple[datetime, str]:
    """The instant at which a run with contracts of these expiries is left in a session, and a note if it was moved.

    All legs leave together, so the contract that closes first decides. With ``settle``, what has stopped trading by
    the exit is left to its settlement; an exit that would find nothing else is not moved.
    """
    exit_ = at(session.date, strategy.schedule.exit)
    expiring = [expiry for expiry in expiries if expiry == session.date]
    closes = min((contract_close(facts, session, expiry) for expiry in expiring), default=session.close)
    if session.is_trading(exit_) and (exit_ < closes or strategy.settle):
        return exit_, ""
    if strategy.settle and exit_ >= closes and expiring and len(expiring) == len(expiries):
        return exit_, ""
    moved = closes - BEFORE_CLOSE
    return moved, f"exit moved from {exit_:%H:%M} to {moved:%H:%M}, before the close at {closes:%H:%M}"


def carried_exit(
    facts: Facts, strategy: Strategy, entered: date, expiries: Collection[date], session: Session
) -> tuple[datetime, str] | None:
    """The exit of a run carried into a session, and a note if it was moved; None where its day is over.

    Without ``settle`` it is never after the first expiry: a contract that was given an earlier date is left by then.
    """
    day = exit_day(facts, strategy, entered, expiries)
    first = min(expiries, default=None)
    if first is not None and day > first and not strategy.settle:
        day = first
    if day < session.date:
        return None
    return exit_on(facts, strategy, session if day == session.date else _session(facts, strategy, day), expiries)


def _session(facts: Facts, strategy: Strategy, day: date) -> Session:
    """The session of a later day as our facts have it."""
    exchange = exchange_of(facts, strategy.underlying)
    session = session_on(facts, day, exchange)
    if session is None:  # an expiry the list dates on a day our facts have no session of
        return _session(facts, strategy, next_session_day(facts, day, exchange))
    return session
