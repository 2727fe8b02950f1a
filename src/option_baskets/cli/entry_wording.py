"""The words in which commands say what an entry waits for, and what is entered again or woken."""

from collections.abc import Iterator

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.entry_rules import Again, Breakout, BreakSide, Move, Reentry, Restart

_SIDES = {
    BreakSide.HIGH: "is above its high",
    BreakSide.LOW: "is below its low",
    BreakSide.EITHER: "is above its high or below its low",
}


def leg_wait_in_words(leg: LegSpec) -> str:
    """What the leg waits for once the strategy's entry minute has come; empty where it does not."""
    if leg.wait is not None:
        return f"Leg {leg.id} is entered once its price {_moved(leg.wait)}."
    return f"Leg {leg.id} is entered once its price {_broken(leg.breakout)}." if leg.breakout is not None else ""


def strategy_wait_in_words(strategy: Strategy) -> str:
    """What all legs wait for together; empty where they do not."""
    if strategy.wait is not None:
        return f"All legs are entered together once their net premium {_moved(strategy.wait)}."
    if strategy.breakout is None:
        return ""
    what = f"All legs are chosen and entered together once the {strategy.underlying} spot"
    return f"{what} {_broken(strategy.breakout)}."


def again_in_words(strategy: Strategy) -> Iterator[str]:
    """What of the strategy is entered again or only when it is woken, a sentence each."""
    for leg in strategy.legs:
        if leg.lazy:
            yield f"Leg {leg.id} is lazy: it is entered when it is woken."
        for key, rule in (("stop", leg.on_stop), ("target", leg.on_target)):
            if rule is not None and rule.reenter is not None:
                how = f"{_again(rule, rule.reenter)}, {_times(rule.times)}"
                yield f"After its {key} leg {leg.id} is entered again {how}."
            if rule is not None and rule.wakes:
                legs = f"leg{'s' * (len(rule.wakes) > 1)} {' and '.join(rule.wakes)}"
                yield f"The {key} of leg {leg.id} wakes {legs}."
    if strategy.reenter_until is not None:
        yield f"Nothing is entered again from {strategy.reenter_until:%H:%M} on."
    if strategy.restart is not None:
        yield f"Once all is closed, the strategy is entered again {_restarts(strategy.restart)}."


def _restarts(restart: Restart) -> str:
    """With strikes chosen anew: it is a new run."""
    after = ((restart.on_stop, "its stop"), (restart.on_target, "its target or lock"))
    return " and ".join(f"after {what}, {_times(count)}" for count, what in after if count)


def _again(rule: Again, kind: Reentry) -> str:
    side = " on the other side" * kind.is_reverse
    if kind.plain is Reentry.ASAP:
        return f"at once{side}, at a strike chosen anew"
    if kind.plain is Reentry.COST:
        return f"in the first contract{side}, once its price is back at the average of its first entry"
    assert rule.move is not None
    return f"in the same contract{side}, once its price {_moved(rule.move)} from the average of its exit"


def _times(count: int) -> str:
    return {1: "once", 2: "at most twice"}.get(count, f"at most {count} times")


def _moved(move: Move) -> str:
    value = move.points if move.points is not None else move.percent
    assert value is not None
    return f"{'rises' if move.is_up else 'falls'} by {abs(value):f}{' %' if move.points is None else ''}"


def _broken(rule: Breakout) -> str:
    return f"{_SIDES[rule.side]} from the entry to {rule.until:%H:%M}"
