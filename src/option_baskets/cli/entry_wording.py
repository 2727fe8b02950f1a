"""The words in which commands say what an entry waits for."""

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.entry_rules import Breakout, BreakSide, Move

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


def _moved(move: Move) -> str:
    value = move.points if move.points is not None else move.percent
    assert value is not None
    return f"{'rises' if move.is_up else 'falls'} by {abs(value):f}{' %' if move.points is None else ''}"


def _broken(rule: Breakout) -> str:
    return f"{_SIDES[rule.side]} from the entry to {rule.until:%H:%M}"
