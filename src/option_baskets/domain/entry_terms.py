"""What exit rules measure from and must be known before anything is entered; without it the entry is refused."""

from collections.abc import Sequence
from decimal import Decimal

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.errors import Refused
from option_baskets.domain.exit_rules import Per, PremiumBase
from option_baskets.domain.market import Snapshot
from option_baskets.domain.mtm import combined
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reference import is_fresh
from option_baskets.domain.run import LegPosition


def entry_spot(strategy: Strategy, leg: LegSpec, snapshot: Snapshot) -> Decimal | None:
    """The underlying's price a leg's rules measure from; None where none of them does.

    Raises:
        Refused: ``no_reference_price``: there is no fresh one.
    """
    if not any(rule is not None and rule.underlying for rule in (leg.stop, leg.target)):
        return None
    quote = snapshot.spot(strategy.underlying)
    if quote is None or not is_fresh(quote, snapshot):
        raise Refused(
            Reason.NO_REFERENCE_PRICE,
            f"{strategy.underlying} has no fresh spot price at {snapshot.at:%H:%M:%S}; leg {leg.id} measures its stop "
            "or target from it, points or percent of its own price need none",
        )
    return quote.last


def require_premium_base(strategy: Strategy, positions: Sequence[LegPosition], snapshot: Snapshot) -> None:
    """See that a percentage of the combined premium is clear, at the prices known now.

    ``positions`` are what a cycle enters first; what comes later or again does not move the premium, and needs no look.

    Raises:
        Refused: ``premium_base_unclear``: bought and sold legs nearly cancel and the strategy does not say of which
            premium its percentage is.
    """
    exits = strategy.exits
    if not exits.reads_premium or exits.premium_base is not PremiumBase.AUTO:
        return
    values = []
    for position in positions:
        quote = snapshot.quote(position.contract)
        if quote is not None:
            values.append((position, quote.last * position.intended))
    accounts = dict.fromkeys(position.account for position in positions)
    parts = [{account} for account in accounts] if exits.per is Per.ACCOUNT else [set(accounts)]
    for part in parts:
        premium = combined((position, value) for position, value in values if position.account in part)
        if premium.needs_base:
            raise Refused(
                Reason.PREMIUM_BASE_UNCLEAR,
                f"the legs' premiums come to ₹{premium.net:.2f} net of ₹{premium.gross:.2f} gross, less than a tenth; "
                'write premium_base = "net" or "gross" to say of which the percentage is',
            )
