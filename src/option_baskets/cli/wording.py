"""The words in which commands say what a leg is."""

from collections.abc import Collection, Iterator

from option_baskets.domain.allocation import Allocation, dropped_units, units_by_allocation
from option_baskets.domain.basket import ExpiryRule, Pick, Strategy, Strike, StrikeRule

_PICKED = {Pick.CLOSEST: "closest", Pick.AT_LEAST: "at least", Pick.AT_MOST: "at most"}


def expiry_in_words(rule: ExpiryRule) -> str:
    return f"{rule.series} +{rule.offset}" if rule.offset else str(rule.series)


def strike_in_words(strike: Strike | None) -> str:
    """Short enough for a column; a future has no strike and gets a dash."""
    if strike is None:
        return "-"
    match strike.rule:
        case StrikeRule.ATM:
            return f"ATM {strike.offset:+} steps" if strike.offset else "ATM"
        case StrikeRule.ATM_POINTS:
            return f"ATM {strike.points:+f} pt"
        case StrikeRule.ATM_PERCENT:
            return f"ATM {strike.percent:+f} %"
        case StrikeRule.STRIKE:
            return f"{strike.value:f}"
        case StrikeRule.PREMIUM if strike.pick is Pick.RANGE:
            return f"premium {strike.low:f} to {strike.high:f}"
        case StrikeRule.PREMIUM:
            return f"premium {_picked(strike)} {strike.value:f}"
        case StrikeRule.STRADDLE_PERCENT:
            return f"premium {_picked(strike)} {strike.percent:f} % of straddle"
        case StrikeRule.STRADDLE_WIDTH:
            return f"ATM {strike.k:+f} straddles"
        case StrikeRule.DELTA:
            return f"delta {strike.value:f}"
        case StrikeRule.OF_LEG:
            return f"leg {strike.leg} {strike.points:+f} pt" if strike.points else f"as leg {strike.leg}"


def units_in_words(strategy: Strategy, allocations: Collection[Allocation]) -> Iterator[str]:
    """How the strategy's base units became whole units, where they were multiplied or split."""
    units = units_by_allocation(strategy, allocations)
    weighted = [each for each in allocations if each.weight is not None]
    if weighted:
        weights = " : ".join(str(each.weight) for each in weighted)
        shares = ", ".join(f"{units[each.id].whole} on {each.account}" for each in weighted)
        yield f"{_units(strategy.units)} split {weights}: {shares}"
    for each in allocations:
        if each.multiplier is not None and not units[each.id].dropped:
            yield f"{each.account}: {each.multiplier:f} x {_units(strategy.units)} is {units[each.id].whole}"
    yield from dropped_units(strategy, allocations)


def _units(count: int) -> str:
    return f"{count} unit{'s' if count != 1 else ''}"


def _picked(strike: Strike) -> str:
    assert strike.pick is not None
    return _PICKED[strike.pick]
