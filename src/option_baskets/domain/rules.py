"""The rules of a running strategy: one pure step from (run, event, market) to (run, decisions).

At one instant all rules read one snapshot, in a fixed order: strategy stop, lock, strategy target; leg stops by leg
number with what they square off, leg targets likewise, the time exit; then what these set off. The first that closes a
leg names the reason. What a firing changes - a stop moved to cost, a trail's step - applies from the next evaluation;
only the peak of a lock is updated before it is read. Levels are compared unrounded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.again import armed, is_cut_off, set_off
from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.exit_rules import Scope
from option_baskets.domain.levels import Hit, stopped, target_reached, trailed
from option_baskets.domain.market import Snapshot
from option_baskets.domain.mtm import locked, strategy_hit
from option_baskets.domain.pending import Cause, Pending
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.triggers import watched
from option_baskets.domain.unentered import not_entered


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Evaluate every rule with what is known at ``at``."""

    at: datetime
    charges: Mapping[str, Decimal] = field(default_factory=dict)
    """Rupees accrued so far by account, where the strategy's rules read net profit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitDemanded:
    """Close what is open and wait no longer: a kill switch, a limit, a person, or the unwinding of a failed entry."""

    at: datetime
    reason: ExitReason
    account: str | None = None
    """None: on all."""
    batch: int | None = None
    """Only what was entered together under this number, and what waits goes on waiting."""


Event = Check | ExitDemanded


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The decision to close one position: why, and the price at which it fills if that lies inside a recorded bar."""

    position: tuple[str, str, int]
    reason: ExitReason
    level: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter:
    """The decision to open what was pending. It stays so, with the instant it became due, until it is journaled."""

    pending: tuple[str, str, int]


Decision = Close | Enter


def step(run: Run, event: Event, market: Snapshot) -> tuple[Run, tuple[Decision, ...]]:
    """The run after the event, and what is to be done; the very same run if nothing changed.

    A position already closing is never decided again.
    """
    if not run.pending and all(position.exit_reason is not None for position in run.positions):
        return run, ()
    run = armed(run)
    hit = None
    if isinstance(event, Check):
        peaks = locked(run, market, event.charges)
        run = run if peaks is run.locked else replace(run, locked=peaks)
        hit = strategy_hit(run, market, event.charges)
    decisions: dict[tuple[str, str, int], Close] = {}
    for close in _closes(run, event, market, hit):
        decisions.setdefault(close.position, close)
    run = _without_ended(run, event, market, hit, decisions.values())
    costs = _accounts_to_cost(run, decisions.values())
    positions = tuple(
        _after(run, position, decisions.get(position.key), event, market, to_cost=position.account in costs)
        for position in run.positions
    )
    if any(after is not before for after, before in zip(positions, run.positions, strict=True)):
        run = replace(run, positions=positions)
    due: tuple[Pending, ...] = ()
    if isinstance(event, Check) and hit is None:
        run, due = watched(run, market)
        new = set_off(run, decisions.values(), event.at)
        run = replace(run, pending=(*run.pending, *new)) if new else run
        due += tuple(each for each in new if each.due is not None)
    return run, (*decisions.values(), *(Enter(pending=each.key) for each in due))


def _after(
    run: Run, position: LegPosition, close: Close | None, event: Event, market: Snapshot, *, to_cost: bool
) -> LegPosition:
    """The position once everything was decided: closing, or with its stop where the next evaluation finds it."""
    if close is not None:
        return replace(position, exit_reason=close.reason, exit_level=close.level)
    if position.exit_reason is not None or isinstance(event, ExitDemanded):
        return position
    if to_cost and position.side is Side.SELL and position.cost_at is None:
        position = replace(position, cost_at=event.at)
    if position.open:
        steps = trailed(run.strategy.leg(position.leg), position, market)
        if steps != position.trail_steps:
            position = replace(position, trail_steps=steps)
    return position


def _accounts_to_cost(run: Run, closes: Iterable[Close]) -> set[str]:
    """Accounts on which a leg's own stop has fired, where that moves the other stops to cost. A target never does."""
    if not run.strategy.exits.move_stop_to_cost:
        return set()
    return {close.position[1] for close in closes if close.reason in {ExitReason.STOP, ExitReason.TRAIL}}


def _without_ended(run: Run, event: Event, market: Snapshot, hit: ExitReason | None, closes: Iterable[Close]) -> Run:
    """The run without what it no longer waits for: its time is over, it was told to stop, or all of it is closed."""
    if not run.pending:
        return run
    if isinstance(event, ExitDemanded):
        if event.batch is not None:
            return run
        ended = [each for each in run.pending if event.account in {None, each.account}]
        reason = Reason.KILLED if event.reason is ExitReason.KILL else Reason.CANCELLED
        detail = f"ended by {event.reason}"
    elif hit is not None:
        ended, reason, detail = [*run.pending], Reason.CANCELLED, f"ended by {hit}"
    elif event.at >= run.exit_at:
        ended, reason, detail = [*run.pending], Reason.NOT_TRIGGERED, ""
    else:
        squared_off = {each.position[1] for each in closes if _squares_off(run, each)}
        late = is_cut_off(run, event.at)
        ended = [each for each in run.pending if each.account in squared_off or (late and each.cause is Cause.REENTRY)]
        reason, detail = Reason.NOT_TRIGGERED, ""
        if squared_off:
            reason, detail = Reason.CANCELLED, f"ended by {ExitReason.SQUARE_OFF}"
    if not ended:
        return run
    missing = not_entered(ended, run.strategy, market, reason, event.at, detail)
    pending = tuple(each for each in run.pending if each not in ended)
    return replace(run, pending=pending, shortfalls=(*run.shortfalls, *missing))


def _squares_off(run: Run, close: Close) -> bool:
    """The close is of a leg's own rule that takes all of its account with it."""
    own = close.reason in {ExitReason.STOP, ExitReason.TRAIL, ExitReason.TARGET}
    return own and run.strategy.leg(close.position[0]).square_off is Scope.ALL


def _closes(run: Run, event: Event, market: Snapshot, hit: ExitReason | None) -> Iterator[Close]:
    """Every rule's decisions, in the order of evaluation."""
    running = [position for position in run.positions if position.exit_reason is None]
    if isinstance(event, ExitDemanded):
        for position in running:
            if event.account in {None, position.account} and event.batch in {None, position.batch}:
                yield Close(position=position.key, reason=event.reason)
        return
    if hit is not None:
        for position in running:
            yield Close(position=position.key, reason=hit)
        return
    yield from _leg_rule(run, running, stopped, market)
    yield from _leg_rule(run, running, target_reached, market)
    if event.at >= run.exit_at:
        for position in running:
            yield Close(position=position.key, reason=ExitReason.TIME)


_Rule = Callable[[LegSpec, LegPosition, Snapshot], Hit | None]


def _leg_rule(run: Run, running: Sequence[LegPosition], rule: _Rule, market: Snapshot) -> Iterator[Close]:
    """One rule over every held leg, by account and leg number, each with what it squares off on its account."""
    accounts = {account: index for index, account in enumerate(dict.fromkeys(each.account for each in run.positions))}
    numbers = {leg.id: index for index, leg in enumerate(run.strategy.legs)}

    def order(position: LegPosition) -> tuple[int, int, int]:
        return accounts[position.account], numbers[position.leg], position.entry_number

    squared_off: set[str] = set()
    for position in sorted((each for each in running if each.open), key=order):
        leg = run.strategy.leg(position.leg)
        hit = None if position.account in squared_off else rule(leg, position, market)
        if hit is None:
            continue
        yield Close(position=position.key, reason=hit.reason, level=hit.level)
        if leg.square_off is Scope.ALL:
            squared_off.add(position.account)
            for other in running:
                if other.account == position.account:
                    yield Close(position=other.key, reason=ExitReason.SQUARE_OFF)
