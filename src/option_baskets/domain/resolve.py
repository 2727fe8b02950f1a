"""From what the user wrote to what is listed: expiries, the reference price, strikes.

Everything is chosen from one snapshot, so nothing later than its instant can influence a choice. Where two strikes are
equally good, the one nearer the ATM wins, then the lower.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from option_baskets.domain.basket import ExpiryRule, LegSpec, Reference, Series, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The contract of every leg, and what a person should know of how it was found."""

    contracts: Mapping[str, Contract]
    reference: Decimal | None
    """The reference price in index points; None where no leg needed one."""
    notes: tuple[str, ...] = ()


def resolve(strategy: Strategy, snapshot: Snapshot) -> Resolution:
    """The contract of every leg at this instant.

    Raises:
        Refused: with the reason for which the run is skipped: no reference price, no eligible strike, a contract that
            is not listed, a missing or stale quote.
    """
    return _Resolver(strategy, snapshot).resolution()


def expiry_of(strategy: Strategy, leg: LegSpec, snapshot: Snapshot) -> date:
    """The leg's expiry by the contract list.

    Raises:
        Refused: ``not_listed``: the list has no such expiry.
    """
    rule = strategy.expiry_rule(leg)
    listed = _listed(rule, strategy.underlying, snapshot)
    if rule.offset >= len(listed):
        raise Refused(
            Reason.NOT_LISTED,
            f"leg {leg.id}: {strategy.underlying} has {len(listed)} listed {rule.series} expiries on or after "
            f"{snapshot.at:%Y-%m-%d}, so offset {rule.offset} does not exist",
        )
    return listed[rule.offset]


def _listed(rule: ExpiryRule, underlying: str, snapshot: Snapshot) -> tuple[date, ...]:
    monthly = rule.series is Series.MONTHLY
    expiries = snapshot.monthly_expiries(underlying) if monthly else snapshot.expiries(underlying)
    today = snapshot.at.date()
    return tuple(expiry for expiry in expiries if expiry >= today)


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
    if quote.age(snapshot.at) > snapshot.stale_after:
        raise Refused(
            Reason.STALE_QUOTE,
            f"{contract.name}: its price of {quote.last} is from {quote.as_of:%H:%M:%S}, "
            f"over {snapshot.stale_after.total_seconds():g} s old",
        )
    return quote


class _Resolver:
    def __init__(self, strategy: Strategy, snapshot: Snapshot) -> None:
        self.strategy = strategy
        self.snapshot = snapshot
        self.chosen: dict[str, Contract] = {}
        self.notes: list[str] = []
        self._reference: Decimal | None = None

    def resolution(self) -> Resolution:
        for leg in self.strategy.legs:
            self.chosen[leg.id] = self._contract(leg)
        return Resolution(contracts=self.chosen, reference=self._reference, notes=tuple(self.notes))

    def _contract(self, leg: LegSpec) -> Contract:
        expiry = expiry_of(self.strategy, leg, self.snapshot)
        if self.strategy.expiry_rule(leg).series is Series.WEEKLY and not self._has_weeklies():
            note = f"{self.strategy.underlying} has no weekly series: the nearest listed expiries are taken"
            self.notes = list(dict.fromkeys([*self.notes, note]))
        if leg.type is ContractType.FUT:
            contract = Contract(underlying=self.strategy.underlying, expiry=expiry, type=leg.type)
        else:
            assert leg.strike is not None
            strike = self._strike(leg, leg.strike, expiry)
            contract = self._option(leg.type, expiry, strike)
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
                wanted = self._reference_price() + outward * rule.points
                return self._nearest(expiry, lambda strike: abs(strike - wanted))
            case StrikeRule.PREMIUM:
                return self._by_premium(leg, rule, expiry)
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

    def _by_premium(self, leg: LegSpec, rule: Strike, expiry: date) -> Decimal:
        assert rule.value is not None
        value = rule.value
        prices: dict[Decimal, Decimal] = {}
        for strike in self.snapshot.strikes(self.strategy.underlying, expiry):
            quote = self.snapshot.quote(self._option(leg.type, expiry, strike))
            if quote is not None and quote.age(self.snapshot.at) <= self.snapshot.stale_after:
                prices[strike] = quote.last
        if not prices:
            raise Refused(
                Reason.NO_ELIGIBLE_STRIKE,
                f"leg {leg.id}: no {leg.type} of {self.strategy.underlying} {expiry:%d-%b-%Y} has a fresh price, "
                f"so none is closest to {value}",
            )
        atm = self._atm(expiry)
        return min(prices, key=lambda strike: (abs(prices[strike] - value), abs(strike - atm), strike))

    def _atm(self, expiry: date) -> Decimal:
        reference = self._reference_price()
        strikes = self._strikes(expiry)
        above = bisect_left(strikes, reference)
        return min(strikes[max(above - 1, 0) : above + 1], key=lambda strike: (abs(strike - reference), strike))

    def _nearest(self, expiry: date, distance: Callable[[Decimal], Decimal]) -> Decimal:
        atm = self._atm(expiry)
        return min(self._strikes(expiry), key=lambda strike: (distance(strike), abs(strike - atm), strike))

    def _strikes(self, expiry: date) -> tuple[Decimal, ...]:
        strikes = self.snapshot.strikes(self.strategy.underlying, expiry)
        if not strikes:
            raise Refused(
                Reason.NOT_LISTED, f"{self.strategy.underlying} {expiry:%d-%b-%Y} has no listed options to choose from"
            )
        return strikes

    def _reference_price(self) -> Decimal:
        if self._reference is None:
            match self.strategy.reference:
                case Reference.SPOT:
                    self._reference = self._spot()
                case Reference.FUTURE:
                    self._reference = self._future()
                case Reference.SYNTHETIC:
                    self._reference = self._synthetic()
        return self._reference

    def _missing(self, what: str) -> Refused:
        wanted = self.strategy.reference
        others = " or ".join(f'"{other}"' for other in Reference if other is not wanted)
        return Refused(
            Reason.NO_REFERENCE_PRICE,
            f"{self.strategy.underlying} has no {what} at {self.snapshot.at:%H:%M:%S}; "
            f'reference = "{wanted}" needs it, {others} may have a price',
        )

    def _spot(self) -> Decimal:
        quote = self.snapshot.spot(self.strategy.underlying)
        if quote is None or quote.age(self.snapshot.at) > self.snapshot.stale_after:
            raise self._missing("fresh spot price")
        return quote.last

    def _future(self) -> Decimal:
        expiries = _listed(ExpiryRule(series=Series.MONTHLY), self.strategy.underlying, self.snapshot)
        for expiry in expiries[:1]:
            contract = Contract(underlying=self.strategy.underlying, expiry=expiry, type=ContractType.FUT)
            quote = self.snapshot.quote(contract)
            if quote is not None and quote.age(self.snapshot.at) <= self.snapshot.stale_after:
                return quote.last
        raise self._missing("fresh price of the nearest monthly future")

    def _synthetic(self) -> Decimal:
        """strike + call - put at the strike nearest the spot; without a spot, where call and put differ least."""
        expiries = _listed(self.strategy.expiry, self.strategy.underlying, self.snapshot)
        if self.strategy.expiry.offset >= len(expiries):
            raise self._missing("listed expiry for its synthetic future")
        expiry = expiries[self.strategy.expiry.offset]
        pairs: dict[Decimal, Decimal] = {}
        for strike in self._strikes(expiry):
            call, put = (
                self.snapshot.quote(self._option(t, expiry, strike)) for t in (ContractType.CE, ContractType.PE)
            )
            if call is not None and put is not None:
                oldest = max(call.age(self.snapshot.at), put.age(self.snapshot.at))
                if oldest <= self.snapshot.stale_after:
                    pairs[strike] = call.last - put.last
        spot = self.snapshot.spot(self.strategy.underlying)
        if spot is not None and spot.age(self.snapshot.at) <= self.snapshot.stale_after:
            level = spot.last
            strike = min(self._strikes(expiry), key=lambda strike: (abs(strike - level), strike))
            if strike not in pairs:
                raise self._missing(f"fresh call and put at {strike}, the strike nearest the spot,")
        elif pairs:
            strike = min(pairs, key=lambda strike: (abs(pairs[strike]), strike))
            self.notes.append(f"no spot: synthetic taken at {strike:f}, where call and put differ least")
        else:
            raise self._missing("fresh call and put")
        return strike + pairs[strike]
