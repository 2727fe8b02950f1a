"""Cover: the bought options and futures that bound the loss of a sold option.

A SELL option leg is covered by BUY legs of its type, a sold call also by bought futures and a sold put by sold
futures; same underlying and account, expiry not earlier, counted in quantity. Strikes do not matter.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from option_baskets.domain.allocation import Allocation, lots_by_leg
from option_baskets.domain.basket import ExpiryRule, LegSpec, Series, Strategy
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.exit_rules import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """A quantity of one leg on one account. ``expiry`` is a date, or a rank that orders like one; units or lots."""

    leg: str
    side: Side
    type: ContractType
    expiry: date | int
    quantity: int | Fraction

    @property
    def is_short_option(self) -> bool:
        return self.side is Side.SELL and self.type.is_option

    def covers(self, short: ContractType) -> bool:
        """It can be cover of a sold option of this type, if its expiry is not earlier."""
        if self.type is ContractType.FUT:
            return (self.side is Side.BUY) == (short is ContractType.CE)
        return self.side is Side.BUY and self.type is short


def covered(stakes: Iterable[Stake], short: ContractType) -> int | Fraction:
    """The most quantity of the sold options of this type that the other stakes can cover.

    Sold options of the latest expiry choose first: whatever may cover them may cover every earlier one too.
    """
    pieces = list(stakes)
    shorts = sorted((each for each in pieces if each.is_short_option and each.type is short), key=_expiry, reverse=True)
    covers = sorted((each for each in pieces if each.covers(short)), key=_expiry, reverse=True)
    total: int | Fraction = 0
    spare: int | Fraction = 0
    for sold in shorts:
        while covers and _expiry(covers[0]) >= _expiry(sold):
            spare += covers.pop(0).quantity
        used = min(spare, sold.quantity)
        spare -= used
        total += used
    return total


def needed(stake: Stake, stakes: Sequence[Stake]) -> int | Fraction:
    """How much of this stake the sold options among ``stakes`` need it to keep; the rest of it may be closed."""
    others = [each for each in stakes if each is not stake]
    return max(covered(stakes, short) - covered(others, short) for short in (ContractType.CE, ContractType.PE))


def _expiry(stake: Stake) -> int:
    return stake.expiry.toordinal() if isinstance(stake.expiry, date) else stake.expiry


# ---------------------------------------------------------------- plans


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverLoss:
    """An account on which a short could be left with less cover than the plan has at full entry, and through what."""

    account: str
    short: ContractType
    leg: str | None
    """The covering leg whose own rules take the cover away, or keep it away; None: the allocation's own lots do."""

    def __str__(self) -> str:
        return self.through(f'closing leg "{self.leg}"' if self.leg is not None else "these lots")

    def through(self, what: str) -> str:
        return f'{what} would leave sold {self.short} on "{self.account}" with less cover than the plan has'


def lost_cover(strategy: Strategy, allocations: Collection[Allocation]) -> tuple[CoverLoss, ...]:
    """Where a leg rule or an allocation can leave less cover than the plan has. Empty for a ``naked`` strategy.

    A plan without cover has none to lose. Rules of different legs fire independently, so the worst case is every
    covering leg with a rule closed, or not entered yet, and every short open; that a short has a stop of its own, or
    waits as well, changes nothing.
    Each (leg, short) is reported once, for the first account it happens on.
    """
    if strategy.naked:
        return ()
    found: dict[tuple[object, ...], CoverLoss] = {}
    for allocation in allocations:
        for loss in _losses(strategy, allocation, lots_by_leg(strategy, allocation, allocations)):
            key = (loss.leg, loss.short) if loss.leg is not None else (None, loss.short, loss.account)
            found.setdefault(key, loss)
    return tuple(found.values())


def _losses(strategy: Strategy, allocation: Allocation, lots: Mapping[str, int]) -> Iterator[CoverLoss]:
    closable = {leg.id for leg in strategy.legs if _may_cover(leg) and (closes_alone(leg) or comes_late(leg))}
    if not closable and allocation.leg_lots is None:
        return  # whole units have the plan's cover, and nothing takes it away
    for calendar in _calendars(strategy):
        for short in (ContractType.CE, ContractType.PE):
            sold, covers = _stakes(strategy, lots, short, calendar)
            planned = _planned_covers(strategy, lots, short, calendar)
            if covered(sold + covers, short) < covered(sold + planned, short):
                yield CoverLoss(account=allocation.account, short=short, leg=None)
            kept = [each for each in covers if each.leg not in closable]
            left = covered(sold + kept, short)
            for cover in covers:
                if cover.leg in closable and covered([*sold, *kept, cover], short) > left:
                    yield CoverLoss(account=allocation.account, short=short, leg=cover.leg)


def covered_by(strategy: Strategy, leg_id: str) -> tuple[str, ...]:
    """The sold legs that would have less cover without this leg, in the strategy's order; none of a ``naked`` one."""
    lots = {leg.id: leg.ratio for leg in strategy.legs}
    if strategy.naked:
        return ()
    found: set[str] = set()
    for calendar in _calendars(strategy):
        for short in (ContractType.CE, ContractType.PE):
            sold, covers = _stakes(strategy, lots, short, calendar)
            others = [each for each in sold if each.leg != leg_id]
            left = [each for each in covers if each.leg != leg_id]
            if covered(others + left, short) < covered(others + covers, short):
                found |= {each.leg for each in others}
    return tuple(leg.id for leg in strategy.legs if leg.id in found)


def closes_alone(leg: LegSpec) -> bool:
    """It has a rule that closes it and leaves the others open; where all are closed, shorts are closed first."""
    return leg.square_off is Scope.LEG and (leg.stop is not None or leg.target is not None)


def _may_cover(leg: LegSpec) -> bool:
    return leg.side is Side.BUY or not leg.type.is_option


def comes_late(leg: LegSpec) -> bool:
    """It waits for a price of its own: others are entered without it, and it may never be."""
    return leg.wait is not None or leg.breakout is not None


def _stakes(
    strategy: Strategy, lots: Mapping[str, int | Fraction], short: ContractType, calendar: "Calendar"
) -> tuple[list[Stake], list[Stake]]:
    """The sold options of one type, and what may cover them, in lots."""
    stakes = [
        Stake(
            leg=leg.id,
            side=leg.side,
            type=leg.type,
            expiry=calendar.rank(strategy.expiry_rule(leg)),
            quantity=lots[leg.id],
        )
        for leg in strategy.legs
        if leg.id in lots and not leg.lazy
    ]
    sold = [each for each in stakes if each.is_short_option and each.type is short]
    return sold, [each for each in stakes if each.covers(short)]


def _planned_covers(
    strategy: Strategy, lots: Mapping[str, int], short: ContractType, calendar: "Calendar"
) -> list[Stake]:
    """The plan's cover at as many units as the account's largest short of this type has."""
    legs = [leg for leg in strategy.legs if leg.side is Side.SELL and leg.type is short and not leg.lazy]
    units = max((Fraction(lots.get(leg.id, 0), leg.ratio) for leg in legs), default=Fraction(0))
    return _stakes(strategy, {leg.id: leg.ratio * units for leg in strategy.legs}, short, calendar)[1]


@dataclass(frozen=True, slots=True)
class Calendar:
    """One way listed expiries can lie: the nearest monthly is number ``monthly``, the next ``apart`` further."""

    monthly: int
    apart: int

    def rank(self, rule: ExpiryRule) -> int:
        return rule.offset if rule.series is Series.WEEKLY else self.monthly + self.apart * rule.offset


CALENDARS = (
    Calendar(0, 1),  # no weekly series
    *(Calendar(monthly, apart) for monthly in range(5) for apart in (4, 5)),
)
"""Which of weekly n and monthly m is later depends on the day; a plan must keep its cover on every day."""


def _calendars(strategy: Strategy) -> Iterable[Calendar]:
    """One of every order in which the strategy's expiries can lie; nearly always there is one order only."""
    rules = [strategy.expiry_rule(leg) for leg in strategy.legs]
    found: dict[tuple[int, ...], Calendar] = {}
    for calendar in CALENDARS:
        ranks = [calendar.rank(rule) for rule in rules]
        places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
        found.setdefault(tuple(places[rank] for rank in ranks), calendar)
    return found.values()
