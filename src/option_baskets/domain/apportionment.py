"""A whole number divided over claims in proportion to their weights, each within bounds of its own; exact."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Claim:
    """``low`` and ``high`` are both included; a weight is never negative."""

    weight: Fraction
    low: int
    high: int

    def at(self, price: Fraction) -> Fraction:
        """What it gets where a weight of 1 gets ``price``."""
        return min(max(price * self.weight, Fraction(self.low)), Fraction(self.high))


def apportioned(total: int, claims: Mapping[str, Claim]) -> dict[str, int]:
    """Whole units for each claim: in proportion to its weight, within its bounds, and ``total`` together.

    A claim without weight has its low bound. Where the bounds allow no such sum, all are at the bound that is nearest
    to it. Fractions go to the largest remainders, of equal ones to the earlier claim.
    """
    exact = _exact(total, claims)
    whole = {name: int(share) for name, share in exact.items()}
    remaining = int(sum(exact.values(), Fraction(0))) - sum(whole.values())
    largest = sorted(exact, key=lambda name: exact[name] - whole[name], reverse=True)[:remaining]
    return {name: units + (name in largest) for name, units in whole.items()}


def _exact(total: int, claims: Mapping[str, Claim]) -> dict[str, Fraction]:
    """The shares before rounding: all at one price for a unit of weight, at which they add up to the total."""

    def sum_at(price: Fraction) -> Fraction:
        return sum((each.at(price) for each in claims.values()), Fraction(0))

    weighty = [each for each in claims.values() if each.weight]
    prices = sorted({bound / each.weight for each in weighty for bound in (each.low, each.high)})
    reached = bisect_left(prices, Fraction(total), key=sum_at)
    below = prices[reached - 1] if reached else Fraction(0)
    price = below
    if reached < len(prices):
        # Between two neighbouring prices every claim is either at a bound or moves with the price.
        moving = {name for name, each in claims.items() if each.at(below) != each.at(prices[reached])}
        weight = sum((claims[name].weight for name in moving), Fraction(0))
        still = sum((each.at(below) for name, each in claims.items() if name not in moving), Fraction(0))
        price = max((total - still) / weight, below) if weight else below
    return {name: each.at(price) for name, each in claims.items()}
