"""Approval before sending: a broker takes nothing that did not pass through here."""

from dataclasses import dataclass

from option_baskets.domain.order import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """An intent that risk let pass. Only ``approve`` makes one."""

    intent: Intent


def approve(intent: Intent) -> Approved:
    """Approve a well-formed intent.

    Raises:
        ValueError: quantity or limit price is not positive; such an order is a defect of ours, not of the market.
    """
    if intent.quantity <= 0 or intent.limit <= 0:
        raise ValueError(f"intent {intent.id}: quantity {intent.quantity} and limit {intent.limit} must be positive")
    return Approved(intent=intent)
