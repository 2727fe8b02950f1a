"""Lots, units and margin by account over all strategies: what the plans would take, entered at the prices known now.

Strikes are resolved as an entry would resolve them at this instant, so margins are estimates for a person who plans;
what cannot be priced makes its margin unknown, and says why.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from option_baskets.domain.allocation import Allocation, lots_by_leg, policy_of, units_by_allocation
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.domain.contract import Contract
from option_baskets.domain.dynamic import equal_units
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import resolve
from option_baskets.domain.session import Session
from option_baskets.engine.agenda import Plans, due_of, is_due_on, plans_of
from option_baskets.engine.valuation import Holding, Valuation
from option_baskets.pricing.margin import Margin
from option_baskets.store.books import Books


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotted:
    """One strategy on one account."""

    basket: Basket
    strategy: Strategy
    allocation: Allocation
    units: int | None
    """Of the strategy; None: allocated leg by leg."""
    lots: Mapping[str, int]
    """Leg → lots, of every leg that is traded there, lazy ones included."""
    margin: Margin | None
    """Of this strategy alone, without what else its account holds."""
    unknown: tuple[Reason, str] | None
    """Why there is no margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTotal:
    """All strategies on one account together."""

    account: str
    strategies: int
    lots: int
    margin: Margin | None
    """Of everything together, netted by contract; None: not all of it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    parts: tuple[Allotted, ...]
    """By account, then by strategy."""
    accounts: tuple[AccountTotal, ...]


@dataclass(slots=True, kw_only=True)
class _Priced:
    """Contracts of strategies at one instant, resolved once each."""

    valuation: Valuation | None
    _found: dict[str, Mapping[str, Contract]] = field(default_factory=dict)

    def holdings(self, strategy: Strategy, lots: Mapping[str, int]) -> tuple[Holding, ...]:
        """Raises Refused or NotFound: something has no price or no strike."""
        if self.valuation is None:
            raise Refused(Reason.NO_QUOTE, "the market has no prices now")
        entered = [leg.id for leg in strategy.legs if not leg.lazy]
        if strategy.id not in self._found:
            found = resolve(strategy, self.valuation.snapshot, self.valuation.delta, legs=entered)
            self._found[strategy.id] = found.contracts
        planned = {leg: count for leg, count in lots.items() if leg in entered}
        return self.valuation.holdings(strategy, self._found[strategy.id], planned)


async def allotment_of(
    books: Books,
    facts: Facts,
    *,
    user_id: str,
    today: date,
    day: date | None,
    market: Snapshot | None,
    session: Session | None = None,
) -> Allotment:
    """What the user has allotted, paused or not.

    Args:
        today: on which the units of policies are those of the day, or where it has none yet of the last one.
        day: only strategies that trade on this day; None: all.
        market: the prices; None: there are none, and no margin is known.
        session: the one under way, which is the authority for its day.
    """
    plans = await plans_of(books, user_id)
    priced = _Priced(valuation=None if market is None else Valuation(facts=facts, snapshot=market, session=session))
    parts: list[Allotted] = []
    held: dict[str, list[tuple[Holding, ...] | None]] = {}
    for strategy in plans.strategies:
        due = due_of(plans, user_id, strategy)
        if day is not None and not is_due_on(facts, due, day, market, session):
            continue
        allocations = due.allocations
        of_policy = await _units_of_policy(books, plans, user_id, strategy, allocations, day or today)
        units = units_by_allocation(strategy, allocations, of_policy)
        for each in allocations:
            lots = lots_by_leg(strategy, each, allocations, of_policy)
            holdings, unknown = _held(priced, strategy, lots)
            held.setdefault(each.account, []).append(holdings)
            parts.append(
                Allotted(
                    basket=plans.baskets[strategy.basket_id],
                    strategy=strategy,
                    allocation=each,
                    units=units[each.id].whole if each.id in units else None,
                    lots=lots,
                    margin=_margin(priced.valuation, [holdings]),
                    unknown=unknown,
                )
            )
    accounts = (
        AccountTotal(
            account=account,
            strategies=len(found),
            lots=sum(sum(part.lots.values()) for part in parts if part.allocation.account == account),
            margin=_margin(priced.valuation, found),
        )
        for account, found in sorted(held.items())
    )
    return Allotment(
        parts=tuple(sorted(parts, key=lambda part: (part.allocation.account, part.strategy.id, part.allocation.id))),
        accounts=tuple(accounts),
    )


def _held(
    priced: _Priced, strategy: Strategy, lots: Mapping[str, int]
) -> tuple[tuple[Holding, ...] | None, tuple[Reason, str] | None]:
    try:
        return priced.holdings(strategy, lots), None
    except Refused as refused:
        return None, (refused.reason, str(refused))
    except NotFound as error:
        return None, (Reason.NOT_LISTED, str(error))


def _margin(valuation: Valuation | None, held: Iterable[tuple[Holding, ...] | None]) -> Margin | None:
    together: list[Holding] = []
    for holdings in held:
        if holdings is None:
            return None
        together += holdings
    return None if valuation is None else valuation.margin(together)


async def _units_of_policy(
    books: Books, plans: Plans, user_id: str, strategy: Strategy, allocations: Sequence[Allocation], day: date
) -> int | None:
    """What its policy gives the strategy; None: it has none."""
    policy_id = policy_of(allocations)
    policy = plans.baskets[strategy.basket_id].policy(policy_id) if policy_id is not None else None
    if policy is None:
        return None if policy_id is None else 0
    record = await books.units(user_id, strategy.basket_id, policy.id, day)
    share = record.share(strategy.id) if record is not None else None
    if share is not None:
        return share.units
    sharing = [
        each.id
        for each in sorted(plans.strategies, key=lambda each: each.id)
        if each.basket_id == strategy.basket_id and policy_of(plans.allocations.get(each.id, ())) == policy.id
    ]
    return policy.least if record is not None else equal_units(policy, len(sharing))[sharing.index(strategy.id)]
