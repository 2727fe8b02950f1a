"""The record of entries that will never be."""

from collections.abc import Iterable
from datetime import datetime

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import Refused
from option_baskets.domain.market import Snapshot
from option_baskets.domain.pending import Cause, Pending
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import expiry_of
from option_baskets.domain.run import Shortfall


def not_entered(
    pendings: Iterable[Pending], strategy: Strategy, snapshot: Snapshot, reason: Reason, at: datetime, detail: str = ""
) -> tuple[Shortfall, ...]:
    """The record of entries that will not be: what the plan had for the entry minute, and what was already decided.

    An entry again or of a lazy leg that nothing has set off was never intended.
    """
    return tuple(
        Shortfall(
            leg=each.leg,
            account=each.account,
            quantity=each.lots * lot_size_of(strategy, strategy.leg(each.leg), each.contract, snapshot),
            reason=Reason.AT_OR_AFTER_EXIT if each.due is not None and reason is Reason.NOT_TRIGGERED else reason,
            detail=detail or each.detail,
            at=at,
        )
        for each in pendings
        if each.due is not None or each.cause in {Cause.WAIT, Cause.RANGE}
    )


def lot_size_of(strategy: Strategy, leg: LegSpec, contract: Contract | None, snapshot: Snapshot) -> int:
    """Of the leg's contract, or where none is chosen yet of any it could be; 1 where nothing is listed any more."""
    contract = contract or _any_contract(strategy, leg, snapshot)
    listing = snapshot.listing(contract) if contract is not None else None
    return listing.lot_size if listing is not None else 1


def _any_contract(strategy: Strategy, leg: LegSpec, snapshot: Snapshot) -> Contract | None:
    try:
        expiry = expiry_of(strategy, leg, snapshot)
    except Refused:
        return None
    strike = next(iter(snapshot.strikes(strategy.underlying, expiry)), None)
    if not leg.type.is_option or strike is None:  # an expiry may list its future and no option yet
        return Contract(underlying=strategy.underlying, expiry=expiry, type=ContractType.FUT)
    return Contract(underlying=strategy.underlying, expiry=expiry, type=leg.type, strike=strike)
