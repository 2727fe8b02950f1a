"""What a strategy waited for on a recorded day: the level or the range, and when it was reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.again import armed, set_off
from option_baskets.domain.basket import Strategy
from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Pending, Trigger
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import Resolution
from option_baskets.domain.rules import Close
from option_baskets.domain.run import Run
from option_baskets.domain.triggers import widened
from option_baskets.domain.waiting import Share, pendings_at_entry

Look = Callable[[datetime], Snapshot]
"""What was known at an instant of the day."""

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """One leg, or with no leg all of them together, and what had to happen. A range has ``low`` and ``high``."""

    leg: str
    what: str
    low: Decimal | None
    high: Decimal | None
    due: datetime | None
    """When it was entered for it, on the first account."""
    reason: Reason | None
    """Why it was not entered."""


def chosen_at(strategy: Strategy, run: Run | None, entry: datetime) -> datetime:
    """When the contracts were chosen: at the break where the strategy waits for one and it came, else at the entry."""
    if strategy.breakout is None or run is None:
        return entry
    return min((each.due for each in run.positions if each.due is not None), default=entry)


def waited(strategy: Strategy, run: Run, resolution: Resolution, look: Look) -> Iterator[Waited]:
    """``resolution`` is of the entry minute; it is not read where contracts are chosen at a break.

    Raises:
        Refused: as ``pendings_at_entry``.
    """
    shares = [Share(leg=leg.id, account="", lots=leg.ratio) for leg in strategy.legs]
    resolution = resolution if strategy.breakout is None else replace(resolution, contracts={})
    pendings = pendings_at_entry(run, shares, resolution, look(run.entry_at))
    together = strategy.wait is not None or strategy.breakout is not None
    for pending in pendings[:1] if together else pendings:
        assert pending.trigger is not None
        seen = _recorded(pending.trigger, strategy.underlying, look)
        own = [each for each in run.positions if together or (each.leg, each.entry_number) == (pending.leg, 0)]
        yield Waited(
            leg="" if together else pending.leg,
            what=pending.detail,
            low=seen.low if seen.recording is not None else None,
            high=seen.high if seen.recording is not None else None,
            due=min((each.due for each in own if each.due is not None), default=None),
            reason=next((each.reason for each in run.shortfalls if together or each.leg == pending.leg), run.reason),
        )


def never_again(run: Run) -> Iterator[Pending]:
    """Entries again that were waited for and never came, with what was waited for and since when. The run is over."""
    entered = {position.key for position in run.positions}
    for position in run.positions:
        if position.exit_reason is None or position.exit_time is None or position.open:
            continue
        close = Close(position=position.key, reason=position.exit_reason)
        set_off_then = set_off(replace(run, pending=()), [close], position.exit_time)
        for pending in armed(replace(run, pending=set_off_then)).pending:
            if pending.trigger is not None and pending.key not in entered and not _is_refused(run, pending):
                yield pending


def _is_refused(run: Run, pending: Pending) -> bool:
    """It was there, and is told by its shortfall."""
    since = pending.trigger.since if pending.trigger is not None else run.entry_at
    own = (each for each in run.shortfalls if (each.leg, each.account) == (pending.leg, pending.account))
    return any(each.at is not None and each.at >= since for each in own)


def _recorded(trigger: Trigger, underlying: str, look: Look) -> Trigger:
    """The trigger with its whole range."""
    if trigger.recording is None:
        return trigger
    at = trigger.since
    while at < trigger.recording:
        at += _MINUTE
        trigger = widened(trigger, underlying, look(at))
    return trigger
