"""What is measured, by name. The functions write these with Powertools; alarms and dashboard read them."""

from enum import StrEnum

NAMESPACE = "OptionBaskets"
SERVICE = "service"
"""The one dimension: the installation, ``options-dev``."""


class Measure(StrEnum):
    BOUNDARY_OFFSET = "BoundaryOffset"
    """Milliseconds from a tick's scheduled instant to its events being put on the bus."""
    DUE_TO_SENT = "DueToSent"
    """Milliseconds from an entry's or exit's instant to its first order being handed to a broker."""
    REFUSALS = "Refusals"
    """Entries refused, by any limit."""
    UNKNOWN_ORDERS = "UnknownOrders"
    """Orders whose fate is not known, at each look."""
    TIMER_RESTARTS = "TimerRestarts"
    """The watchdog found the timer dead and started it."""
    ORDERS_SENT = "OrdersSent"
