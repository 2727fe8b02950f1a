"""What closed runs are worth compared with each other: three scores of their profits, and how far they are down.

Sums of decimals are taken as fractions, so that no precision of a context comes into them. A score is rounded to six
decimals, half to even, before anything is divided by it: the same on every machine, and by hand.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from enum import StrEnum
from fractions import Fraction

from option_baskets.domain.money import ZERO

LARGEST_RATIO = Decimal(10)
"""Of a Sharpe ratio or a profit factor, in size: what has no spread or no losses would have an infinite one."""
_SIX = Decimal("0.000001")
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Score(StrEnum):
    """By what strategies are compared, over the net profits of their closed runs.

    - ``sharpe``: mean / sample standard deviation (divided by n - 1), a run being one period, nothing risk-free taken
      off and nothing annualised, for a common factor would cancel. W. F. Sharpe, "The Sharpe Ratio", 1994, equations
      3 to 6. Runs that all made the same have no deviation: the largest ratio with the sign of the mean, 0 for 0.
    - ``profit_factor``: the sum of the gains / the sum of the losses; no losses: the largest ratio, 0 without gains.
    - ``net_pnl``: the sum, rupees.
    """

    SHARPE = "sharpe"
    PROFIT_FACTOR = "profit_factor"
    NET_PNL = "net_pnl"


def score_of(score: Score, nets: Sequence[Decimal]) -> Decimal:
    """The score of these profits, rounded to six decimals; ratios lie within ``LARGEST_RATIO``. At least two profits.

    Sums of decimals are taken as fractions: no precision of a context comes into it.
    """
    exact = [Fraction(net) for net in nets]
    match score:
        case Score.NET_PNL:
            return _rounded(sum(exact, Fraction(0)))
        case Score.PROFIT_FACTOR:
            gains = sum((net for net in exact if net > 0), Fraction(0))
            losses = -sum((net for net in exact if net < 0), Fraction(0))
            return _capped(gains / losses) if losses else LARGEST_RATIO if gains else ZERO
        case Score.SHARPE:
            mean = sum(exact, Fraction(0)) / len(exact)
            variance = sum(((net - mean) ** 2 for net in exact), Fraction(0)) / (len(exact) - 1)
            if not variance:
                return LARGEST_RATIO if mean > 0 else -LARGEST_RATIO if mean < 0 else ZERO
            size = _capped_root(mean * mean / variance)
            return size if mean >= 0 else -size


def drawdown_of(nets: Iterable[Decimal]) -> Decimal:
    """How far the profits added up are below their highest, rupees; the highest is at least 0, where they begin."""
    level = highest = Fraction(0)
    for net in nets:
        level += Fraction(net)
        highest = max(highest, level)
    return _decimal(highest - level)


def _capped(ratio: Fraction) -> Decimal:
    return _rounded(min(ratio, Fraction(LARGEST_RATIO)))


def _capped_root(square: Fraction) -> Decimal:
    with localcontext(_EXACT):
        root = (Decimal(square.numerator) / Decimal(square.denominator)).sqrt()
        return min(root, LARGEST_RATIO).quantize(_SIX)


def _rounded(value: Fraction) -> Decimal:
    return Decimal(round(value * 10**6)).scaleb(-6, _EXACT)


def _decimal(value: Fraction) -> Decimal:
    """A sum of decimals, as the decimal it is."""
    with localcontext(_EXACT):
        return Decimal(value.numerator) / Decimal(value.denominator)
