"""Whether what an account holds covers what is about to be sold on it, as the plan does at full entry."""

from collections.abc import Callable, Sequence
from datetime import date
from fractions import Fraction

from option_baskets.domain.basket import LegSpec
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.cover import Stake, covered
from option_baskets.domain.run import LegPosition, Run

ExpiryOf = Callable[[LegSpec], date | None]


def lacks_cover(run: Run, account: str, coming: Sequence[LegPosition], expiry_of: ExpiryOf) -> ContractType | None:
    """The type of option that would be sold with less cover than the plan has at full entry; None where none would.

    Cover is what is held on the account and not being closed, and what is bought among ``coming``, which is filled
    before anything is sold. The plan's is as many units as the account's largest short of that type has; a lazy leg is
    no part of a full entry. A ``naked`` strategy lacks none.

    Args:
        expiry_of: of a leg the account has no contract of; None where it is not known, and the leg then no cover.
    """
    if run.strategy.naked:
        return None
    new = {position.key for position in coming}
    mine = [each for each in run.positions if each.account == account and each.key not in new]
    held = [each for each in mine if each.open]
    stakes = [_stake(each, each.open) for each in held if each.side is Side.SELL or each.exit_reason is None]
    stakes += [_stake(each, each.intended) for each in coming]
    known = {each.leg: each.contract.expiry for each in (*mine, *coming)}
    lot_size = max((each.lot_size for each in coming), default=0)
    for short in (ContractType.CE, ContractType.PE):
        if not any(each.side is Side.SELL and each.contract.type is short for each in coming):
            continue
        sold = [each for each in stakes if each.is_short_option and each.type is short]
        covers = [each for each in stakes if each.covers(short)]
        planned = _planned(run, account, short, lot_size, lambda leg: known.get(leg.id) or expiry_of(leg))
        if covered(sold + covers, short) < covered(sold + planned, short):
            return short
    return None


def _stake(position: LegPosition, quantity: int) -> Stake:
    contract = position.contract
    return Stake(leg=position.leg, side=position.side, type=contract.type, expiry=contract.expiry, quantity=quantity)


def _planned(run: Run, account: str, short: ContractType, lot_size: int, expiry_of: ExpiryOf) -> list[Stake]:
    """The cover of the plan for as many units as the largest short of this type has on the account."""
    strategy = run.strategy
    lots: dict[str, int] = {}
    for allocation in run.allocations:
        if allocation.account == account:
            lots |= run.lots(allocation)
    sold = [leg for leg in strategy.legs if leg.side is Side.SELL and leg.type is short]
    units = max((Fraction(lots.get(leg.id, 0), leg.ratio) for leg in sold), default=Fraction(0))
    stakes = []
    for leg in strategy.legs:
        expiry = None if leg.lazy else expiry_of(leg)
        if expiry is not None:
            quantity = leg.ratio * units * lot_size
            stakes.append(Stake(leg=leg.id, side=leg.side, type=leg.type, expiry=expiry, quantity=quantity))
    return [each for each in stakes if each.covers(short)]
