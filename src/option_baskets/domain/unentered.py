"""The record of entries that will never be."""

from collections.abc import Iterable

from option_baskets.domain.basket import Strategy
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import Refused
from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Cause, Pending
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Shortfall


def not_entered(
    pendings: Iterable[Pending], strategy: Strategy, snapshot: Snapshot, reason: Reason, detail: str = ""
) -> tuple[Shortfall, ...]:
    """The record of entries that will not be: what the plan had for the entry minute, and what was already decided.

    An entry again or of a lazy leg that nothing has set off was never intended.
    """
    return tuple(
        Shortfall(
            leg=each.leg,
            account=each.account,
            quantity=each.lots * _lot_size(each, strategy, snapshot),
            reason=reason,
            detail=detail or each.detail,
        )
        for each in pendings
        if each.due is not None or each.cause in {Cause.WAIT, Cause.RANGE}
    )


def _lot_size(pending: Pending, strategy: Strategy, snapshot: Snapshot) -> int:
    """Of its contract, or where none is chosen yet of any it could be; 1 where nothing is listed any more."""
    contract = pending.contract or _any_contract(pending, strategy, snapshot)
    listing = snapshot.listing(contract) if contract is not None else None
    return listing.lot_size if listing is not None else 1


def _any_contract(pending: Pending, strategy: Strategy, snapshot: Snapshot) -> Contract | None:
    leg = strategy.leg(pending.leg)
    try:
        expiry = expiry_of(strategy, leg, snapshot)
    except Refused:
        return None
    if leg.type is ContractType.FUT:
        return Contract(underlying=strategy.underlying, expiry=expiry, type=leg.type)
    strike = next(iter(snapshot.strikes(strategy.underlying, expiry)), None)
    return Contract(underlying=strategy.underlying, expiry=expiry, type=leg.type, strike=strike)
