"""The words in which commands say until when a strategy holds."""

from collections.abc import Iterator

from option_baskets.domain.basket import Holding, Product, Schedule, Strategy


def span_in_words(schedule: Schedule) -> str:
    """From when to when, e.g. ``09:20 to 15:15 the next trading day``."""
    entry, exit_ = f"{schedule.entry:%H:%M}", f"{schedule.exit:%H:%M}"
    if schedule.holding is Holding.NEXT_DAY:
        return f"{entry} to {exit_} the next trading day"
    if schedule.enter_before is None or schedule.exit_before is None:
        return f"{entry} to {exit_}"
    return f"{entry} {_before(schedule.enter_before)} to {exit_} {_before(schedule.exit_before)}"


def held_in_words(strategy: Strategy) -> Iterator[str]:
    """What else is unusual about how it is held."""
    if strategy.product is Product.MIS:
        yield "product MIS"
    if strategy.settle:
        yield "may settle at expiry"


def _before(days: int) -> str:
    if days == 0:
        return "on expiry day"
    return f"{days} trading day{'s' * (days > 1)} before expiry"
