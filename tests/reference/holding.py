"""On which days a strategy is entered, and when what was entered is left."""

from datetime import date
from typing import Any

from tests.reference.entering import expiry_of
from tests.reference.recording import DAY, Recording, next_trading_day, trading_days_before, trading_days_until
from tests.reference.strikes import Skip

Table = dict[str, Any]
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def is_due(strategy: Table, day: Recording) -> bool:
    if WEEKDAYS[day.date.weekday()] not in strategy.get("days", WEEKDAYS[:5]):
        return False
    if "dte" not in strategy and "enter_before" not in strategy:
        return True
    left = _days_left(strategy, day)
    return left is not None and left in strategy.get("dte", [left]) and left == strategy.get("enter_before", left)


def _expiries(strategy: Table, day: Recording) -> list[date] | None:
    """Of the legs; None: one has no listed expiry."""
    expiries = [expiry_of(strategy, leg, day) for leg in strategy["legs"]]
    listed = [expiry for expiry in expiries if expiry is not None]
    return listed if len(listed) == len(expiries) else None


def _days_left(strategy: Table, day: Recording) -> int | None:
    expiries = _expiries(strategy, day)
    return None if expiries is None else trading_days_until(day.date, min(expiries))


def exit_of(strategy: Table, day: Recording) -> int:
    """The minute of the exit of what is entered today.

    Raises:
        Skip: a leg has expired by then.
    """
    expiries, on = _expiries(strategy, day), day.date
    if strategy.get("holding") == "next_day":
        on = next_trading_day(day.date)
    if strategy.get("holding") == "positional":
        assert expiries is not None
        on = trading_days_before(min(expiries), strategy["exit_before"])
    if expiries is not None and min(expiries) < on and not strategy.get("settle"):
        raise Skip("exit_after_expiry")
    at = day.at(strategy["exit"]) + (on - day.date).days * DAY
    close = day.close + (on - day.date).days * DAY
    settles = strategy.get("settle") and expiries is not None and max(expiries) <= on
    return at if at < close or settles else close - 2
