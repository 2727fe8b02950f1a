"""What the history keeps of a change of a run: which rule closed what at which price, what came due, what was given up.

Every change of a run goes through ``runs.py``, which asks here, so nobody who decides has to think of the history. It
rides in the commit of the change.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.levels import stop_in_force, target_level
from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Pending
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run, Shortfall
from option_baskets.domain.session import IST
from option_baskets.store.records import ENGINE, Line, Occurrence, What


def occurrences(before: Run, after: Run, at: datetime, seen: Snapshot | None = None) -> Iterator[Occurrence]:
    """What happened between two states of a run that no other item says.

    Args:
        seen: the snapshot it was decided by, where it was decided by prices.
    """
    if after.positions is not before.positions:
        yield from _of_positions(before, after, at, seen)
    if after.pending is not before.pending and (due := tuple(_due(before, after))):
        yield _occurrence(after, at, What.ENTRY_DUE, due[0].cause, due)
    if len(after.shortfalls) > len(before.shortfalls):
        missing = tuple(_missing(short) for short in after.shortfalls[len(before.shortfalls) :])
        yield _occurrence(after, at, What.NOT_TRADED, missing[0].cause, missing)
    if after.exit_at != before.exit_at and before.positions:
        detail = f"from {_clock(before.exit_at)} to {_clock(after.exit_at)}"
        yield _occurrence(after, at, What.EXIT_MOVED, "calendar", detail=detail)


def scheduled(run: Run, at: datetime, cause: str, actor: str = ENGINE) -> Occurrence:
    """A run that is claimed, by its schedule or by somebody."""
    plan = f"strategy version {run.strategy.version}, basket version {run.basket.version}"
    detail = f"enters at {_clock(run.entry_at)}, exits at {_clock(run.exit_at)}; {plan}"
    return replace(_occurrence(run, at, What.SCHEDULED, cause, detail=detail), actor=actor)


def _of_positions(before: Run, after: Run, at: datetime, seen: Snapshot | None) -> Iterator[Occurrence]:
    closing: list[Line] = []
    outside: list[Line] = []
    for was, position in zip(before.positions, after.positions, strict=False):  # new ones come behind
        if was is position:
            continue
        if len(position.external) > len(was.external):
            outside += [
                _line(position, each.quantity, ExitReason.EXTERNAL, each.price)
                for each in position.external[len(was.external) :]
            ]
        elif position.exit_reason is not was.exit_reason and position.settlement is None:
            closing.append(_closed(after, was, position, seen))
    if closing:
        yield _occurrence(after, at, What.EXIT_DECIDED, closing[0].cause, tuple(closing))
    if outside:
        yield _occurrence(after, at, What.CLOSED_OUTSIDE, ExitReason.EXTERNAL, tuple(outside))


def _closed(run: Run, was: LegPosition, position: LegPosition, seen: Snapshot | None) -> Line:
    """The decision to close a position: the rule, its level, and the price it read."""
    assert position.exit_reason is not None
    quote = seen.quote(position.contract) if seen is not None else None
    price = position.exit_level if position.exit_level is not None else quote.last if quote is not None else None
    detail = " ".join(_level(run, was, position.exit_reason, seen))
    return _line(position, position.open, position.exit_reason, price, detail)


def _level(run: Run, was: LegPosition, reason: ExitReason, seen: Snapshot | None) -> Iterator[str]:
    """At what the rule of a leg fires, as far as it has a price of its own."""
    if was.entry_price is None:
        return
    leg = run.strategy.leg(was.leg)
    if reason in {ExitReason.STOP, ExitReason.TRAIL}:
        in_force, rule = stop_in_force(leg, was), leg.stop
        level = None if in_force is None else in_force[0]
    elif reason is ExitReason.TARGET:
        level, rule = target_level(leg, was.side, was.entry_price), leg.target
    else:
        return
    if level is not None:
        yield f"level {level:.2f}"
    elif rule is not None and was.entry_spot is not None:
        spot = seen.spot(was.contract.underlying) if seen is not None else None
        known = f", now {spot.last:f}" if spot is not None else ""
        yield f"{was.contract.underlying} from {was.entry_spot:f} by {rule.of(was.entry_spot):f}{known}"


def _due(before: Run, after: Run) -> Iterator[Line]:
    waited = {each.key for each in before.pending if each.due is None}
    known = {each.key for each in before.pending}
    for each in after.pending:
        if each.due is not None and (each.key in waited or each.key not in known):
            yield _pending(each)


def _pending(each: Pending) -> Line:
    return Line(
        account=each.account,
        leg=each.leg,
        contract=each.contract,
        side=each.side,
        cause=each.cause,
        detail=each.detail,
    )


def _missing(short: Shortfall) -> Line:
    return Line(account=short.account, leg=short.leg, quantity=short.quantity, cause=short.reason, detail=short.detail)


def _line(position: LegPosition, quantity: int, cause: str, price: Decimal | None, detail: str = "") -> Line:
    return Line(
        account=position.account,
        leg=position.leg,
        contract=position.contract,
        side=position.side,
        quantity=quantity,
        price=price,
        cause=cause,
        detail=detail,
    )


def _occurrence(
    run: Run, at: datetime, what: What, cause: str, lines: tuple[Line, ...] = (), detail: str = ""
) -> Occurrence:
    return Occurrence(
        user_id=run.user_id,
        at=at,
        what=what,
        cause=cause,
        strategy_id=run.strategy.id,
        run_id=run.id,
        subject=str(run.version),
        detail=detail,
        lines=lines,
    )


def _clock(at: datetime) -> str:
    return f"{at.astimezone(IST):%d-%b-%Y %H:%M}"
