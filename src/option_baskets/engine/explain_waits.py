"""What a strategy waited for on a recorded day: the level or the range, and when it was reached."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from option_baskets.domain.basket import Strategy
from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Trigger
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import Resolution
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


def _recorded(trigger: Trigger, underlying: str, look: Look) -> Trigger:
    """The trigger with its whole range."""
    if trigger.recording is None:
        return trigger
    at = trigger.since
    while at < trigger.recording:
        at += _MINUTE
        trigger = widened(trigger, underlying, look(at))
    return trigger
