"""What of a position was closed without an order of ours: by a person in the broker's own app, or by the broker."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """Units that are no longer there. What they were closed at is not known: ``price`` stands in for it."""

    quantity: int
    """Units, above zero."""
    price: Decimal
    """The last price known when it was seen, rupees per unit; not what was paid."""
    priced_at: datetime | None
    """When that price was known; None: none was, and it is the position's own mark or entry price."""
    at: datetime
    """When it was seen."""

    @property
    def value(self) -> Decimal:
        """Rupees."""
        return self.price * self.quantity
