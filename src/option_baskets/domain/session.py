"""Trading sessions: is the exchange open, which phase is it, how many trading days lie between.

The exchange's zone is named in this module and nowhere else.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from option_baskets.domain.events import MarketPhase
from option_baskets.domain.facts import Exchange, Facts, Hours, SessionKind, Span, in_force

IST = ZoneInfo("Asia/Kolkata")

PRE_OPEN = time(9, 0)
BEFORE_A_SPECIAL_OPEN = timedelta(minutes=15)
PRE_CLOSE = timedelta(minutes=10)
SATURDAY = 5

# From when each phase of an ordinary day holds; MARKET_OPEN holds from the open, PRE_CLOSE precedes all of them.
_PHASES = (
    (time(14, 0), MarketPhase.AFTERNOON_TRADING),
    (time(13, 0), MarketPhase.LUNCH_BREAK),
    (time(10, 30), MarketPhase.ACTIVE_TRADING),
    (time(9, 30), MarketPhase.EARLY_TRADING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Continuous trading, [open, close), as instants."""

    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading day of an exchange. Recorded data makes its own from the windows it carries (``session_of``)."""

    date: date
    kind: SessionKind
    windows: tuple[Window, ...]
    """In order, not overlapping, at least one."""
    halts: tuple[Window, ...] = ()
    """Parts of the windows in which nothing is traded, [open, close), in order: a circuit breaker, an outage."""

    @property
    def open(self) -> datetime:
        return self.windows[0].open

    @property
    def close(self) -> datetime:
        return self.windows[-1].close

    @property
    def starts(self) -> datetime:
        """When the timer starts: 09:00, or 15 minutes before the first open of a special session."""
        if self.is_special:
            return self.open - BEFORE_A_SPECIAL_OPEN
        return min(at(self.date, PRE_OPEN), self.open)

    @property
    def is_special(self) -> bool:
        """Traded only by strategies with ``special_sessions = true``."""
        return self.kind is not SessionKind.NORMAL

    @property
    def counts(self) -> bool:
        """Whether it counts as a trading day for DTE and holding: full sessions do, Muhurat and DR sessions do not."""
        return self.kind in {SessionKind.NORMAL, SessionKind.FULL_SPECIAL}

    def is_trading(self, instant: datetime) -> bool:
        return any(window.open <= instant < window.close for window in self.windows)

    def halt_at(self, instant: datetime) -> Window | None:
        """The halt an instant lies in."""
        return next((halt for halt in self.halts if halt.open <= instant < halt.close), None)

    def is_open(self, instant: datetime) -> bool:
        """Whether an order can trade: trading hours, and no halt."""
        return self.is_trading(instant) and self.halt_at(instant) is None

    def phase(self, instant: datetime) -> MarketPhase:
        """The phase at an instant. PRE_CLOSE is the last ten minutes before the close of the last window."""
        if self.starts <= instant < self.open:
            return MarketPhase.PRE_OPEN
        if not self.is_trading(instant):
            return MarketPhase.CLOSED
        if instant >= self.close - PRE_CLOSE:
            return MarketPhase.PRE_CLOSE
        if self.is_special:
            return MarketPhase.ACTIVE_TRADING
        local = instant.astimezone(IST).time()
        return next((phase for since, phase in _PHASES if local >= since), MarketPhase.MARKET_OPEN)


def at(day: date, moment: time) -> datetime:
    """The instant of a time of day on the exchange's clock."""
    return datetime.combine(day, moment, IST)


def session_of(day: date, *spans: Span, kind: SessionKind = SessionKind.NORMAL) -> Session:
    """A session with exactly these windows.

    Raises:
        ValueError: no window, or windows out of order.
    """
    windows = tuple(Window(open=at(day, span.start), close=at(day, span.end)) for span in spans)
    if not windows:
        raise ValueError(f"a session on {day} needs at least one window")
    for earlier, later in pairwise(windows):
        if later.open < earlier.close:
            raise ValueError(f"the windows of {day} are out of order: {', '.join(map(str, spans))}")
    return Session(date=day, kind=kind, windows=windows)


def hours_on(facts: Facts, day: date) -> Hours:
    """The ordinary hours in force; before the first row, those of the first row."""
    return in_force(facts.hours, day) or min(facts.hours, key=lambda row: row.effective_from or date.min)


@lru_cache(maxsize=4096)
def session_on(facts: Facts, day: date, exchange: Exchange | str = Exchange.NSE) -> Session | None:
    """The session of a day, or None: a weekend or a holiday without a special session.

    Holidays before 2023 are not known, so a weekday of those years has its normal session; a recorded file is the
    authority there.
    """
    special = facts.special_sessions.get(day)
    if special is not None:
        return with_halts(facts, session_of(day, *special.windows, kind=special.kind))
    holiday = facts.holidays.get((Exchange(exchange), day))
    if day.weekday() >= SATURDAY or (holiday is not None and not holiday.withdrawn):
        return None
    return with_halts(facts, session_of(day, hours_on(facts, day).hours))


def with_halts(facts: Facts, session: Session) -> Session:
    """The session, e.g. one of a recorded file, with the halts the facts have of its day."""
    halts = facts.halts.get(session.date)
    if halts is None:
        return session
    windows = (Window(open=at(session.date, span.start), close=at(session.date, span.end)) for span in halts.windows)
    return replace(session, halts=tuple(windows))


def next_session_day(facts: Facts, day: date, exchange: Exchange | str = Exchange.NSE) -> date:
    """The first day after ``day`` that counts as a trading day."""
    return _step(facts, day, 1, exchange)


def previous_session_day(facts: Facts, day: date, exchange: Exchange | str = Exchange.NSE) -> date:
    """The last day before ``day`` that counts as a trading day."""
    return _step(facts, day, -1, exchange)


def trading_days_after(facts: Facts, day: date, until: date, exchange: Exchange | str = Exchange.NSE) -> int:
    """How many days that count lie after ``day`` up to and including ``until``: the DTE of a contract expiring then."""
    days = (day + timedelta(days=n) for n in range(1, (until - day).days + 1))
    return sum(1 for each in days if _counts(facts, each, exchange))


def contract_close(facts: Facts, session: Session, expiry: date, is_index_option: bool = True) -> datetime:
    """When one contract stops trading that day: with the session, or earlier where it is an index contract expiring."""
    early = hours_on(facts, session.date).expiring_close
    if early is None or session.is_special or not is_index_option or expiry != session.date:
        return session.close
    return min(session.close, at(session.date, early))


def spot_frozen(facts: Facts, session: Session) -> Window | None:
    """The window in which the cash market is in its closing auction and the index stands still; None: there is none."""
    return None if session.is_special else spot_frozen_on(facts, session.date)


def spot_frozen_on(facts: Facts, day: date) -> Window | None:
    """That window of a day by its date alone, for who has no session at hand."""
    special = facts.special_sessions.get(day)
    span = hours_on(facts, day).spot_frozen
    if span is None or (special is not None and special.kind is not SessionKind.NORMAL):
        return None
    return Window(open=at(day, span.start), close=at(day, span.end))


def _step(facts: Facts, day: date, direction: int, exchange: Exchange | str) -> date:
    day += timedelta(days=direction)
    while not _counts(facts, day, exchange):
        day += timedelta(days=direction)
    return day


def _counts(facts: Facts, day: date, exchange: Exchange | str) -> bool:
    session = session_on(facts, day, exchange)
    return session is not None and session.counts
