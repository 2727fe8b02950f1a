"""What an edit of plans stores, and what it is decided by."""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.store.records import Plan

ReadBasket = Callable[[str, str], Awaitable[Basket | None]]
ReadPlans = Callable[[str], Awaitable[list[Plan]]]
ReadAllocations = Callable[[str], Awaitable[list[Allocation]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one edit stores: a basket, or a strategy, or allocations of one strategy, or the last two together.

    Versions are those each was read with (0: it is new), and after the edit the stored ones.
    """

    basket: Basket | None = None
    strategy: Strategy | None = None
    allocations: tuple[Allocation, ...] = ()


@dataclass(frozen=True, slots=True)
class Moves:
    """Strategies that enter at a minute from now on, or no longer: the register counts them in the same commit."""

    by_minute: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an edit with a name made, by ids; kept a day, for whoever got no answer and asks again."""

    basket: str = ""
    strategy: str = ""
    allocations: tuple[str, ...] = ()


class Standing:
    """A user's plans as they stand while an edit is decided, all by primary key; each is read once, when asked for."""

    def __init__(self, user_id: str, *, basket: ReadBasket, plans: ReadPlans, allocations: ReadAllocations) -> None:
        self.user_id = user_id
        self._read_basket = basket
        self._read_plans = plans
        self._read_allocations = allocations
        self._baskets: dict[str, Basket | None] = {}
        self._plans: dict[str, Plan] | None = None
        self._allocations: tuple[Allocation, ...] | None = None

    def after(self, change: Change) -> "Standing":
        """The plans once the change is stored; what was not read yet is read when asked for."""
        later = copy(self)
        later._baskets = dict(self._baskets)
        if change.basket is not None:
            later._baskets[change.basket.id] = change.basket
        if self._plans is not None:
            later._plans = self._changed(self._plans, change)
        if self._allocations is not None:
            known = {each.id: each for each in (*self._allocations, *change.allocations)}
            later._allocations = tuple(known[name] for name in sorted(known))
        return later

    def _changed(self, plans: Mapping[str, Plan], change: Change) -> dict[str, Plan]:
        found = dict(plans)
        basket, strategy = change.basket, change.strategy
        if basket is not None:
            found |= {name: replace(each, basket=basket) for name, each in plans.items() if each.basket.id == basket.id}
        if strategy is not None:
            around = self._baskets[strategy.basket_id]
            assert around is not None
            found[strategy.id] = Plan(strategy=strategy, basket=around)
        return {name: found[name] for name in sorted(found)}

    async def basket(self, basket_id: str) -> Basket | None:
        if basket_id not in self._baskets:
            self._baskets[basket_id] = await self._read_basket(self.user_id, basket_id)
        return self._baskets[basket_id]

    async def plans(self) -> dict[str, Plan]:
        """Every strategy with its basket, by the strategy's id."""
        if self._plans is None:
            self._plans = {plan.strategy.id: plan for plan in await self._read_plans(self.user_id)}
        return self._plans

    async def strategies(self, basket_id: str) -> tuple[Strategy, ...]:
        """Those of a basket, sorted by id."""
        plans = await self.plans()
        return tuple(plan.strategy for plan in plans.values() if plan.basket.id == basket_id)

    async def strategy(self, strategy_id: str) -> Strategy | None:
        plan = (await self.plans()).get(strategy_id)
        return plan.strategy if plan is not None else None

    async def all_allocations(self) -> tuple[Allocation, ...]:
        """The user's."""
        if self._allocations is None:
            self._allocations = tuple(await self._read_allocations(self.user_id))
        return self._allocations

    async def allocations(self, strategy_id: str) -> tuple[Allocation, ...]:
        """Those of a strategy, by priority, then id."""
        mine = [each for each in await self.all_allocations() if each.strategy_id == strategy_id]
        return tuple(sorted(mine, key=lambda each: (each.priority, each.id)))


Decide = Callable[[Standing], Awaitable[Change]]
"""What to store, from what stands. It may be asked again, when somebody else was faster."""
