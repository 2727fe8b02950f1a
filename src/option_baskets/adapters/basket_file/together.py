"""A strategy and its allocations from its table, and what of them together cannot be."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from option_baskets.adapters.basket_file.allocations import Around, read_allocations
from option_baskets.adapters.basket_file.fields import Fields
from option_baskets.adapters.basket_file.holding import check_product
from option_baskets.adapters.basket_file.limits import check_limits
from option_baskets.adapters.basket_file.plan import read_strategy
from option_baskets.domain.allocation import MAX_LOTS, Allocation
from option_baskets.domain.basket import Strategy
from option_baskets.domain.cover import closes_alone, lost_cover
from option_baskets.domain.exposure import Through, exposures


def read_together(
    fields: Fields, *, strategy_id: str, basket_id: str, name: str, around: Around
) -> tuple[Strategy, dict[int, Allocation]]:
    """The strategy of a table whose ``name`` has been read, and its allocations by their index in it."""
    strategy = read_strategy(
        fields, strategy_id=strategy_id, basket_id=basket_id, name=name, underlyings=around.underlyings
    )
    strategy = replace(strategy, units=fields.integer("units", 2, 1, least=1, most=MAX_LOTS))
    allocations = read_allocations(fields, strategy, around)
    fields.close()
    if fields.is_sound:
        # Without allocations what any would meet is told already, on one unit.
        anywhere = {0: Allocation(id="", strategy_id=strategy_id, account="any account", units=1)}
        judged = allocations or anywhere
        problems = [*_cover_problems(strategy, judged)] or [*_exposure_problems(strategy, judged.values())]
        for path, message in problems:
            fields.add(path, message)
        check_limits(fields, strategy, allocations)
        used = {each.account for each in allocations.values()}
        check_product(fields, strategy, [each for each in around.accounts if each.id in used], around.latest_mis)
    return strategy, allocations


def _cover_problems(strategy: Strategy, allocations: Mapping[int, Allocation]) -> Iterator[tuple[str, str]]:
    """Path within the strategy's table, and message, of everything that leaves a short with less cover than planned."""
    for loss in lost_cover(strategy, allocations.values()):
        index = next(index for index, each in allocations.items() if each.account == loss.account)
        if loss.leg is None:
            yield f"allocations[{index}].leg_lots", f"{loss}; buy the cover too, or write naked = true in the strategy"
        else:
            leg = strategy.leg(loss.leg)
            path = f"legs[{strategy.legs.index(leg)}]"
            way_out = "remove it, or write naked = true in the strategy"
            for key in ("stop", "target"):
                if closes_alone(leg) and getattr(leg, key) is not None:
                    yield f"{path}.{key}", f"{loss}; {way_out}"
            for key in ("wait", "breakout"):
                if getattr(leg, key) is not None:
                    late = loss.through(f'entering leg "{leg.id}" later, if at all,')
                    yield f"{path}.{key}", f"{late}; {way_out}, or write it in the strategy for all legs together"


def _exposure_problems(strategy: Strategy, allocations: Collection[Allocation]) -> Iterator[tuple[str, str]]:
    """The same of legs that come again or are woken."""
    for exposure in exposures(strategy, allocations):
        path = f"legs[{[leg.id for leg in strategy.legs].index(exposure.leg)}]"
        key = exposure.rule if exposure.through is Through.CLOSE else f"on_{exposure.rule}.{exposure.through}"
        yield f"{path}.{key}", f"{exposure}; remove it, or write naked = true in the strategy"
