"""Limits of losses and of size, from tables, and limits that would keep their own strategy out on every day."""

from collections.abc import Collection, Mapping

from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.domain.allocation import MAX_LOTS, Allocation, AllocationLimits, lots_by_leg
from option_baskets.domain.basket import Strategy

_MOST_TRADES = 1000


def read_allocation_limits(fields: Fields) -> AllocationLimits:
    table = fields.table("limits", "{ max_daily_loss = 5000 }", required=False)
    if table is None:
        return AllocationLimits()
    limits = AllocationLimits(
        max_daily_loss=table.optional("max_daily_loss", "5000", decimals=2),
        max_daily_trades=table.optional_whole("max_daily_trades", 8, most=_MOST_TRADES),
        max_position_value=table.optional("max_position_value", "200000", decimals=2),
        max_margin_percent=table.optional("max_margin_percent", "60"),
        max_lots=table.optional_whole("max_lots", 10, most=MAX_LOTS),
    )
    table.close()
    return limits


def check_limits(fields: Fields, strategy: Strategy, allocations: Mapping[int, Allocation]) -> None:
    """Tell limits that the first entry alone would pass. ``allocations`` are by their index in the file."""
    everything: Collection[Allocation] = tuple(allocations.values())
    at_once = {leg.id for leg in strategy.legs if not (leg.lazy or leg.wait or leg.breakout)}
    for index, allocation in allocations.items():
        path = f"allocations[{index}].limits"
        lots = {leg: n for leg, n in lots_by_leg(strategy, allocation, everything).items() if leg in at_once}
        most_lots, most_trades = allocation.limits.max_lots, allocation.limits.max_daily_trades
        if most_lots is not None and sum(lots.values()) > most_lots:
            legs = "1 leg" if len(lots) == 1 else f"{len(lots)} legs"
            entered = f"{sum(lots.values())} lots over {legs} are entered at once"
            fields.add(
                f"{path}.max_lots", f"{entered}, more than {most_lots}, and none would be; raise it or trade less"
            )
        if most_trades is not None and len(lots) > most_trades:
            entered = f"{len(lots)} legs are entered at once, each a trade, more than {most_trades}"
            fields.add(f"{path}.max_daily_trades", f"{entered}, and none would be; write at least {len(lots)}")
