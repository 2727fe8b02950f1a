"""What an account may come to hold through entries again and lazy legs, and where that leaves a short uncovered.

Legs are closed, entered again and woken in any order, so every combination a plan can reach is looked at. How often and
at which price a leg comes again does not matter: it is held, on one side or the other, or it is not.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import gcd

from option_baskets.domain.allocation import Allocation, lots_by_leg
from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.cover import CALENDARS, Stake, covered
from option_baskets.domain.entry_rules import Again
from option_baskets.domain.exit_rules import Scope


class Through(StrEnum):
    """What of a rule takes the cover away."""

    CLOSE = "close"
    REENTER = "reenter"
    WAKES = "wakes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A rule through which a short could be left with less cover than the plan has at full entry."""

    account: str
    short: ContractType
    leg: str
    rule: str
    """``stop`` or ``target``, the one that sets it off."""
    through: Through
    is_reverse: bool = False

    def __str__(self) -> str:
        doing = {
            Through.CLOSE: f'closing leg "{self.leg}"',
            Through.REENTER: f'{"reversing" if self.is_reverse else "entering"} leg "{self.leg}"'
            + ("" if self.is_reverse else " again"),
            Through.WAKES: "waking these legs",
        }[self.through]
        return f'{doing} would leave sold {self.short} on "{self.account}" with less cover than the plan has'


_Held = tuple[Side | None, ...]
"""The side of each traded leg, None where it is not held."""


@dataclass(frozen=True, slots=True)
class _State:
    held: _Held
    asleep: frozenset[int]
    """Lazy legs not woken yet, by index."""


def exposures(strategy: Strategy, allocations: Collection[Allocation]) -> tuple[Exposure, ...]:
    """Where entries again and lazy legs can leave less cover than the plan has. Empty for a ``naked`` strategy.

    Where the plan, lazy legs included, has no cover for the sold options of a type, there is none to lose; a type it
    does not sell may not come to be sold uncovered. Each rule is reported once, for the first account it happens on.
    """
    if strategy.naked or not any(leg.lazy or leg.reentries for leg in strategy.legs):
        return ()
    found: dict[tuple[str, str, Through], Exposure] = {}
    ratios: set[tuple[tuple[str, int], ...]] = set()
    for allocation in allocations:
        lots = lots_by_leg(strategy, allocation, allocations)
        unit = gcd(*lots.values())
        ratio = tuple((leg, count // unit) for leg, count in lots.items())
        if ratio in ratios:
            continue
        ratios.add(ratio)
        for exposure in _Account(strategy, allocation.account, dict(ratio)).exposures():
            found.setdefault((exposure.leg, exposure.rule, exposure.through), exposure)
    return tuple(found.values())


class _Account:
    def __init__(self, strategy: Strategy, account: str, lots: Mapping[str, int]) -> None:
        self.account = account
        self.legs = tuple(leg for leg in strategy.legs if leg.id in lots)
        self.index = {leg.id: number for number, leg in enumerate(self.legs)}
        self.lots = tuple(lots[leg.id] for leg in self.legs)
        rules = [strategy.expiry_rule(leg) for leg in self.legs]
        self.ranks = {tuple(calendar.rank(rule) for rule in rules) for calendar in CALENDARS}
        start = tuple(None if leg.lazy else leg.side for leg in self.legs)
        self.start = _State(start, frozenset(number for number, leg in enumerate(self.legs) if leg.lazy))
        whole = tuple(leg.side for leg in self.legs)
        self.most = {
            (ranks, short): self._sold(start, ranks, short)[1]
            for ranks in self.ranks
            for short in (ContractType.CE, ContractType.PE)
            for sold, uncovered in [self._sold(whole, ranks, short)]
            if not sold or uncovered < sold
        }

    def exposures(self) -> Iterator[Exposure]:
        seen = {self.start}
        ahead = [self.start]
        while ahead:
            state = ahead.pop()
            for number, leg in enumerate(self.legs):
                if state.held[number] is None:
                    continue
                for rule, is_there, again in (
                    ("stop", leg.stop, leg.on_stop),
                    ("target", leg.target, leg.on_target),
                ):
                    if is_there is None:
                        continue
                    for through, after in self._after(state, number, leg, again):
                        short = self._uncovers(after.held)
                        if short is not None:
                            yield Exposure(
                                account=self.account,
                                short=short,
                                leg=leg.id,
                                rule=rule,
                                through=through,
                                is_reverse=bool(again and again.reenter and again.reenter.is_reverse),
                            )
                            break
                        if after not in seen:
                            seen.add(after)
                            ahead.append(after)

    def _after(self, state: _State, number: int, leg: LegSpec, again: Again | None) -> Iterator[tuple[Through, _State]]:
        """What the account holds once the leg is closed, then with the legs that wakes, then with the leg itself."""
        side = state.held[number]
        assert side is not None
        is_all = leg.square_off is Scope.ALL
        held = [None if is_all or other == number else each for other, each in enumerate(state.held)]
        yield Through.CLOSE, replace(state, held=tuple(held))
        if again is None:
            return
        woken = {self.index[name] for name in again.wakes if name in self.index} & state.asleep
        for other in woken:
            held[other] = self.legs[other].side
        state = _State(tuple(held), state.asleep - woken)
        yield Through.WAKES, state
        if again.reenter is not None:
            held[number] = side.opposite if again.reenter.is_reverse else side
            yield Through.REENTER, replace(state, held=tuple(held))

    def _uncovers(self, held: _Held) -> ContractType | None:
        """The type of the shorts that have less cover than at full entry."""
        for (ranks, short), most in self.most.items():
            if self._sold(held, ranks, short)[1] > most:
                return short
        return None

    def _sold(self, held: _Held, ranks: tuple[int, ...], short: ContractType) -> tuple[int, int]:
        """Lots sold of the type, and how many of them are not covered; in what all lots of the account share."""
        stakes = [
            Stake(leg=leg.id, side=side, type=leg.type, expiry=rank, quantity=lots)
            for leg, side, rank, lots in zip(self.legs, held, ranks, self.lots, strict=True)
            if side is not None
        ]
        sold = sum(lots for leg, side, lots in zip(self.legs, held, self.lots, strict=True) if _is(leg, side, short))
        return sold, sold - int(covered(stakes, short))


def _is(leg: LegSpec, side: Side | None, short: ContractType) -> bool:
    return side is Side.SELL and leg.type is short
