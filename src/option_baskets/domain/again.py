"""What a leg's own stop or target sets off: the leg is entered again, and lazy legs wake.

Nothing is counted apart from the run: an entry has a successor, a position or a pending one with the next number, and
what closed it says whether that was after a stop or after a target.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import Side
from option_baskets.domain.entry_rules import Again, Move, Reentry
from option_baskets.domain.money import price
from option_baskets.domain.pending import Cause, Pending, Trigger, Weighted
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import IST


class Closing(Protocol):
    """That a position is being closed, and why."""

    @property
    def position(self) -> tuple[str, str, int]: ...

    @property
    def reason(self) -> ExitReason: ...


_STOPPED = frozenset({ExitReason.STOP, ExitReason.TRAIL})


def rule_after(leg: LegSpec, reason: ExitReason | None) -> Again | None:
    """What the leg sets off once it was closed for this reason: its own stop, trail or target, and nothing else."""
    if reason in _STOPPED:
        return leg.on_stop
    return leg.on_target if reason is ExitReason.TARGET else None


def is_cut_off(run: Run, at: datetime) -> bool:
    """No leg is entered again at ``at``: the strategy's cut-off or the run's exit has come."""
    until = run.strategy.reenter_until
    return at >= run.exit_at or (until is not None and at.astimezone(IST).time() >= until)


def set_off(run: Run, closes: Iterable[Closing], at: datetime) -> tuple[Pending, ...]:
    """What positions closed at ``at`` set off, in their order.

    ``asap`` and lazy legs are due at once; the others wait for a price, see ``armed``. ``run.pending`` is what is still
    waited for.
    """
    if at >= run.exit_at:
        return ()
    new: dict[tuple[str, str, int], Pending] = {}
    for close in closes:
        position = run.position(close.position)
        rule = rule_after(run.strategy.leg(position.leg), close.reason)
        if rule is not None:
            for each in (
                *_again(run, position, rule, close.reason, at),
                *_woken(run, position, rule, close.reason, at),
            ):
                new.setdefault(each.key, each)
    return tuple(new.values())


def armed(run: Run) -> Run:
    """The run with the triggers of entries again that wait for a price, once the exit before them is filled.

    Only then is the average of the exit known. The very same run if nothing became known.
    """
    pending = tuple(_armed(run, each) for each in run.pending)
    if all(after is before for after, before in zip(pending, run.pending, strict=True)):
        return run
    return replace(run, pending=pending)


# ---------------------------------------------------------------- again


def _again(run: Run, position: LegPosition, rule: Again, reason: ExitReason, at: datetime) -> Iterator[Pending]:
    kind = rule.reenter
    if kind is None or is_cut_off(run, at) or _used(run, position, reason) >= rule.times:
        return
    first = _first(run, position)
    is_asap = kind.plain is Reentry.ASAP
    same = {Reentry.ASAP: None, Reentry.COST: first.contract, Reentry.MOMENTUM: position.contract}[kind.plain]
    yield Pending(
        leg=position.leg,
        account=position.account,
        entry_number=position.entry_number + 1,
        side=position.side.opposite if kind.is_reverse else position.side,
        lots=first.lots,
        cause=Cause.REENTRY,
        contract=same,
        due=at if is_asap else None,
        detail=f"{kind} after its {reason}",
    )


def _used(run: Run, position: LegPosition, reason: ExitReason) -> int:
    """How often this leg was entered again on its account after a stop, or after a target, whichever ``reason`` is."""
    own = [each for each in run.positions if (each.leg, each.account) == (position.leg, position.account)]
    wanted = _STOPPED if reason in _STOPPED else {ExitReason.TARGET}
    entered = {each.entry_number for each in own}
    return sum(each.exit_reason in wanted and each.entry_number + 1 in entered for each in own)


def _first(run: Run, position: LegPosition) -> LegPosition:
    return run.position((position.leg, position.account, 0))


def _armed(run: Run, pending: Pending) -> Pending:
    if pending.cause is not Cause.REENTRY or pending.due is not None or pending.trigger is not None:
        return pending
    closed = run.position((pending.leg, pending.account, pending.entry_number - 1))
    rule = rule_after(run.strategy.leg(pending.leg), closed.exit_reason)
    if rule is None or closed.open or not closed.entry_final or closed.exit_price is None or closed.exit_time is None:
        return pending
    level, from_above = _cost(run, closed) if rule.move is None else _moved(closed.exit_price, rule.move)
    assert pending.contract is not None
    trigger = Trigger(
        prices=(Weighted(contract=pending.contract),),
        since=closed.exit_time,
        high=None if from_above else level,
        low=level if from_above else None,
    )
    where = f"{pending.contract.name} at {price(level):f} or {'below' if from_above else 'above'}"
    return replace(pending, trigger=trigger, detail=f"{pending.detail}: {where}")


def _cost(run: Run, closed: LegPosition) -> tuple[Decimal, bool]:
    """What entry number 0 was entered for, and whether the price comes back to it from above: after the stop of a sold
    leg or the target of a bought one."""
    cost = _first(run, closed).entry_price
    assert cost is not None
    return cost, (closed.side is Side.SELL) == (closed.exit_reason in _STOPPED)


def _moved(left_at: Decimal, move: Move) -> tuple[Decimal, bool]:
    return move.level(left_at), not move.is_up


# ---------------------------------------------------------------- lazy legs


def _woken(run: Run, waker: LegPosition, rule: Again, reason: ExitReason, at: datetime) -> Iterator[Pending]:
    """Lazy legs that have not been woken on this account before."""
    allocation = next((each for each in run.allocations if each.account == waker.account), None)
    if not rule.wakes or allocation is None:
        return
    lots = run.lots(allocation)
    known = {each.leg for each in run.positions if each.account == waker.account}
    known |= {each.leg for each in run.pending if each.account == waker.account}
    known |= {each.leg for each in run.shortfalls if each.account == waker.account}
    for name in rule.wakes:
        if name in lots and name not in known:
            yield Pending(
                leg=name,
                account=waker.account,
                entry_number=0,
                side=run.strategy.leg(name).side,
                lots=lots[name],
                cause=Cause.LAZY,
                due=at,
                detail=f"woken by the {reason} of leg {waker.leg}",
            )
