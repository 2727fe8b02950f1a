"""From what the user wrote to what is listed: expiries and strikes.

Everything is chosen from one snapshot, so nothing later than its instant can influence a choice. Where two strikes are
equally good, the one nearer the ATM wins, then the lower.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from option_baskets.domain.basket import LegSpec, Pick, Series, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reference import (
    ReferencePrice,
    is_fresh,
    listed_expiries,
    listed_strikes,
    nearest_strike,
    reference_price,
)

Deltas = Callable[[Contract], Decimal | None]
"""The forward delta of an option at its own volatility, rounded to 6 decimals; None where its price implies none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The contract of every leg, and what a person should know of how it was found."""

    contracts: Mapping[str, Contract]
    reference: Decimal | None
    """The reference price in index points; None where no leg needed one."""
    notes: tuple[str, ...] = ()


def resolve(
    strategy: Strategy,
    snapshot: Snapshot,
    deltas: Deltas,
    legs: Collection[str] | None = None,
    before: Mapping[str, Contract] = MappingProxyType({}),
) -> Resolution:
    """The contract of every leg at this instant, or only of ``legs`` and those they are measured from.

    ``deltas`` are of the same snapshot; ``before`` are contracts of legs that were entered already: one of those that
    is chosen anew keeps its expiry, the others are what a wing is measured from.

    Raises:
        Refused: with the reason for which the run is skipped: no reference price, no eligible strike, a contract that
            is not listed, a missing or stale quote.
    """
    return _Resolver(strategy, snapshot, deltas, before).resolution(legs)


def ranked_strikes(
    strategy: Strategy, snapshot: Snapshot, deltas: Deltas, legs: Collection[str] | None = None
) -> dict[str, tuple[Decimal, ...]]:
    """For every leg chosen by a premium or a delta its eligible strikes, the chosen one first, then the next best.

    Raises:
        Refused: as ``resolve``.
    """
    resolver = _Resolver(strategy, snapshot, deltas, {})
    resolver.resolution(legs)
    return {leg: tuple(sorted(ranks, key=ranks.__getitem__)) for leg, ranks in resolver.ranks.items()}


def expiry_of(strategy: Strategy, leg: LegSpec, snapshot: Snapshot) -> date:
    """The leg's expiry by the contract list.

    Raises:
        Refused: ``not_listed``: the list has no such expiry.
    """
    rule = strategy.expiry_rule(leg)
    listed = listed_expiries(rule, strategy.underlying, snapshot)
    if rule.offset >= len(listed):
        raise Refused(
            Reason.NOT_LISTED,
            f"leg {leg.id}: {strategy.underlying} has {len(listed)} listed {rule.series} expiries on or after "
            f"{snapshot.at:%Y-%m-%d}, so offset {rule.offset} does not exist",
        )
    return listed[rule.offset]


def fresh_quote(contract: Contract, snapshot: Snapshot) -> Quote:
    """The contract's quote, if it may decide an entry.

    Raises:
        Refused: ``not_listed``, ``no_quote`` or ``stale_quote``.
    """
    quote = snapshot.quote(contract)
    if quote is None:
        if snapshot.listing(contract) is None:
            raise Refused(Reason.NOT_LISTED, f"{contract.name} is not listed")
        raise Refused(Reason.NO_QUOTE, f"{contract.name} has no price yet")
    if not is_fresh(quote, snapshot):
        raise Refused(
            Reason.STALE_QUOTE,
            f"{contract.name}: its price of {quote.last} is from {quote.as_of:%H:%M:%S}, "
            f"over {snapshot.stale_after.total_seconds():g} s old",
        )
    return quote


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a strike must have to be eligible, and of what it should have as near as possible."""

    what: str
    aim: Decimal
    least: Decimal | None = None
    most: Decimal | None = None

    @classmethod
    def premium(cls, pick: Pick, value: Decimal) -> "_Wanted":
        match pick:
            case Pick.AT_LEAST:
                return cls(what=f"a premium of at least {value:f}", aim=value, least=value)
            case Pick.AT_MOST:
                return cls(what=f"a premium of at most {value:f}", aim=value, most=value)
            case _:
                return cls(what="a fresh price", aim=value)

    @classmethod
    def between(cls, low: Decimal, high: Decimal) -> "_Wanted":
        return cls(what=f"a premium from {low:f} to {high:f}", aim=(low + high) / 2, least=low, most=high)

    def allows(self, value: Decimal) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class _Resolver:
    def __init__(self, strategy: Strategy, snapshot: Snapshot, deltas: Deltas, before: Mapping[str, Contract]) -> None:
        self.strategy = strategy
        self.snapshot = snapshot
        self.deltas = deltas
        self.before = before
        self.chosen: dict[str, Contract] = dict(before)
        self.notes: list[str] = []
        self.ranks: dict[str, dict[Decimal, tuple[Decimal, Decimal, Decimal]]] = {}
        self._reference: ReferencePrice | None = None

    def resolution(self, legs: Collection[str] | None = None) -> Resolution:
        wanted = None if legs is None else self._with_anchors(legs)
        for leg in self.strategy.legs:
            if wanted is None or leg.id in wanted:
                self.chosen[leg.id] = self._contract(leg)
        level = self._reference.level if self._reference is not None else None
        return Resolution(contracts=self.chosen, reference=level, notes=tuple(self.notes))

    def _with_anchors(self, legs: Collection[str]) -> set[str]:
        """The legs, and those whose strikes theirs are measured from, which stand before them."""
        wanted = set(legs)
        for leg in reversed(self.strategy.legs):
            anchor = leg.strike.leg if leg.strike is not None else None
            if leg.id in wanted and anchor is not None and anchor not in self.before:
                wanted.add(anchor)
        return wanted

    def _contract(self, leg: LegSpec) -> Contract:
        entered = self.before.get(leg.id)
        expiry = expiry_of(self.strategy, leg, self.snapshot) if entered is None else entered.expiry
        if self.strategy.expiry_rule(leg).series is Series.WEEKLY and not self._has_weeklies():
            note = f"{self.strategy.underlying} has no weekly series: the nearest listed expiries are taken"
            self.notes = list(dict.fromkeys([*self.notes, note]))
        if leg.type is ContractType.FUT:
            contract = Contract(underlying=self.strategy.underlying, expiry=expiry, type=leg.type)
        else:
            assert leg.strike is not None
            contract = self._option(leg.type, expiry, self._strike(leg, leg.strike, expiry))
        if self.snapshot.listing(contract) is None:
            raise Refused(Reason.NOT_LISTED, f"leg {leg.id}: {contract.name} is not listed")
        fresh_quote(contract, self.snapshot)
        return contract

    def _has_weeklies(self) -> bool:
        """Some expiry before the second monthly is none itself; a list that does not reach so far says nothing."""
        monthly = self.snapshot.monthly_expiries(self.strategy.underlying)
        listed = self.snapshot.expiries(self.strategy.underlying)
        return len(monthly) < 2 or any(expiry < monthly[1] and expiry not in monthly for expiry in listed)

    def _option(self, type_: ContractType, expiry: date, strike: Decimal) -> Contract:
        return Contract(underlying=self.strategy.underlying, expiry=expiry, type=type_, strike=strike)

    def _strike(self, leg: LegSpec, rule: Strike, expiry: date) -> Decimal:
        outward = leg.type.out_of_money
        match rule.rule:
            case StrikeRule.ATM:
                return self._atm(expiry) + (outward * rule.offset * self._step(leg, expiry) if rule.offset else 0)
            case StrikeRule.ATM_POINTS:
                assert rule.points is not None
                return self._nearest(expiry, self._level() + outward * rule.points)
            case StrikeRule.ATM_PERCENT:
                assert rule.percent is not None
                return self._nearest(expiry, self._level() * (100 + outward * rule.percent) / 100)
            case StrikeRule.STRIKE:
                assert rule.value is not None
                return rule.value
            case StrikeRule.PREMIUM | StrikeRule.STRADDLE_PERCENT:
                return self._best(leg, expiry, self._premiums(leg.type, expiry), self._wanted_premium(rule, expiry))
            case StrikeRule.STRADDLE_WIDTH:
                assert rule.k is not None
                return self._nearest(expiry, self._atm(expiry) + outward * rule.k * self._straddle(expiry))
            case StrikeRule.DELTA:
                assert rule.value is not None
                wanted = _Wanted(what="a fresh price that implies a delta", aim=rule.value)
                return self._best(leg, expiry, self._sizes_of_delta(leg.type, expiry), wanted)
            case StrikeRule.OF_LEG:
                assert rule.points is not None
                assert rule.leg is not None
                anchor = self.chosen[rule.leg].strike
                assert anchor is not None
                return anchor + outward * rule.points

    def _step(self, leg: LegSpec, expiry: date) -> Decimal:
        try:
            return self.snapshot.strike_step(self.strategy.underlying, expiry)
        except NotFound as error:
            raise Refused(Reason.NO_ELIGIBLE_STRIKE, f"leg {leg.id}: {error}") from error

    # ------------------------------------------------------------ by price

    def _wanted_premium(self, rule: Strike, expiry: date) -> _Wanted:
        if rule.pick is Pick.RANGE:
            assert rule.low is not None
            assert rule.high is not None
            return _Wanted.between(rule.low, rule.high)
        assert rule.pick is not None
        if rule.rule is StrikeRule.STRADDLE_PERCENT:
            assert rule.percent is not None
            return _Wanted.premium(rule.pick, self._straddle(expiry) * rule.percent / 100)
        assert rule.value is not None
        return _Wanted.premium(rule.pick, rule.value)

    def _premiums(self, type_: ContractType, expiry: date) -> dict[Decimal, Decimal]:
        """The fresh prices by strike."""
        found = {}
        for strike in self.snapshot.strikes(self.strategy.underlying, expiry):
            quote = self.snapshot.quote(self._option(type_, expiry, strike))
            if quote is not None and is_fresh(quote, self.snapshot):
                found[strike] = quote.last
        return found

    def _sizes_of_delta(self, type_: ContractType, expiry: date) -> dict[Decimal, Decimal]:
        deltas = {strike: self.deltas(self._option(type_, expiry, strike)) for strike in self._premiums(type_, expiry)}
        return {strike: abs(delta) for strike, delta in deltas.items() if delta is not None}

    def _straddle(self, expiry: date) -> Decimal:
        """The premium of call and put at the money together, both fresh."""
        atm = self._atm(expiry)
        pair = (self._option(type_, expiry, atm) for type_ in (ContractType.CE, ContractType.PE))
        return sum((fresh_quote(contract, self.snapshot).last for contract in pair), Decimal(0))

    def _best(self, leg: LegSpec, expiry: date, known: Mapping[Decimal, Decimal], wanted: _Wanted) -> Decimal:
        atm = self._atm(expiry)
        ranks = {
            strike: (abs(value - wanted.aim), abs(strike - atm), strike)
            for strike, value in known.items()
            if wanted.allows(value)
        }
        if not ranks:
            there_are = f"; fresh ones are from {min(known.values()):f} to {max(known.values()):f}" if known else ""
            options = f"{leg.type} of {self.strategy.underlying} {expiry:%d-%b-%Y}"
            raise Refused(Reason.NO_ELIGIBLE_STRIKE, f"leg {leg.id}: no {options} has {wanted.what}{there_are}")
        self.ranks[leg.id] = ranks
        return min(ranks, key=ranks.__getitem__)

    # ------------------------------------------------------------ by distance

    def _atm(self, expiry: date) -> Decimal:
        return nearest_strike(self._strikes(expiry), self._level())

    def _nearest(self, expiry: date, wanted: Decimal) -> Decimal:
        atm = self._atm(expiry)
        return min(self._strikes(expiry), key=lambda strike: (abs(strike - wanted), abs(strike - atm), strike))

    def _strikes(self, expiry: date) -> tuple[Decimal, ...]:
        return listed_strikes(self.strategy.underlying, expiry, self.snapshot)

    def _level(self) -> Decimal:
        """The reference price, found once."""
        if self._reference is None:
            self._reference = reference_price(self.strategy, self.snapshot)
            self.notes += [self._reference.note] if self._reference.note else []
        return self._reference.level
