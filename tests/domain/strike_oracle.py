"""The strike rules once more, straight from their table and slowly: how good would every contract have been?"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from option_baskets.domain.basket import Pick, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import Refused
from option_baskets.domain.reasons import Reason


class Known:
    """One expiry's options at an instant: those listed, their fresh prices and deltas, and the reference."""

    def __init__(
        self,
        contracts: Iterable[Contract],
        fresh: Mapping[Contract, Decimal],
        deltas: Mapping[Contract, Decimal],
        reference: Decimal,
    ) -> None:
        self.contracts = tuple(contracts)
        self.fresh = fresh
        self.deltas = deltas
        self.reference = reference
        strikes = {each.strike for each in self.contracts if each.strike is not None}
        self.atm = min(strikes, key=lambda strike: (abs(strike - reference), strike))
        pair = [fresh[each] for each in self.contracts if each.strike == self.atm and each in fresh]
        self.straddle = sum(pair, Decimal(0)) if len(pair) == 2 else None


def badness(rule: Strike, contract: Contract, known: Known) -> Decimal | None:
    """How far this contract is from what the rule asks for; None: not eligible."""
    assert contract.strike is not None
    out = 1 if contract.type is ContractType.CE else -1
    price, straddle = known.fresh.get(contract), known.straddle
    match rule:
        case Strike(rule=StrikeRule.STRIKE, value=k) if k is not None:
            return Decimal(0) if contract.strike == k else None
        case Strike(rule=StrikeRule.ATM_POINTS, points=points) if points is not None:
            return abs(contract.strike - (known.reference + out * points))
        case Strike(rule=StrikeRule.ATM_PERCENT, percent=p) if p is not None:
            return abs(contract.strike - (known.reference + out * known.reference * p / 100))
        case Strike(rule=StrikeRule.STRADDLE_WIDTH, k=k) if k is not None:
            return None if straddle is None else abs(contract.strike - (known.atm + out * k * straddle))
        case Strike(rule=StrikeRule.DELTA, value=d) if d is not None:
            delta = known.deltas.get(contract)
            return None if delta is None or price is None else abs(abs(delta) - d)
        case Strike(pick=Pick.RANGE, low=low, high=high) if low is not None and high is not None:
            return None if price is None or not low <= price <= high else abs(2 * price - low - high)
    x = rule.value
    if rule.percent is not None:
        x = None if straddle is None else straddle * rule.percent / 100
    if price is None or x is None:
        return None
    if (rule.pick is Pick.AT_LEAST and price < x) or (rule.pick is Pick.AT_MOST and price > x):
        return None
    return abs(price - x)


def assert_no_better(rule: Strike, type_: ContractType, known: Known, choice: Callable[[], Contract]) -> str:
    """Whatever the choice is: it is listed and fresh, and of the best the nearest to the money, then the lowest; or it
    is refused because nothing was eligible, or a price it needs is missing or stale. What became of it."""
    mine = [contract for contract in known.contracts if contract.type is type_]
    measured = {contract: off for contract in mine if (off := badness(rule, contract, known)) is not None}
    try:
        contract = choice()
    except Refused as refusal:
        if refusal.reason in {Reason.NO_ELIGIBLE_STRIKE, Reason.NOT_LISTED}:
            assert not measured, f"{refusal}, but something was eligible"
        else:
            assert refusal.reason in {Reason.STALE_QUOTE, Reason.NO_QUOTE}
            assert len(known.fresh) < len(known.contracts), f"{refusal}, but every price was fresh"
            if measured and known.straddle is not None:
                assert _first(measured, known) not in known.fresh, f"{refusal}, but the best has a fresh price"
        return refusal.reason.value
    assert contract in mine
    assert contract in known.fresh
    assert contract == _first(measured, known)
    return "chosen"


def _first(measured: Mapping[Contract, Decimal], known: Known) -> Contract:
    """The best, by the order of ties."""
    atm = known.atm

    def rank(contract: Contract) -> tuple[Decimal, Decimal, Decimal]:
        assert contract.strike is not None
        return measured[contract], abs(contract.strike - atm), contract.strike

    return min(measured, key=rank)
