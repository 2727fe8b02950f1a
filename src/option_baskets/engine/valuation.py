"""What a snapshot says in numbers: years to expiry, chains, positions, charges and margins.

Years are calendar time from the snapshot to the second at which that contract stops trading, over 365 days. Prices are
the last known ones; what is older than the snapshot's limit has no say in a forward while anything fresh has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np

from option_baskets.domain.allocation import slices
from option_baskets.domain.basket import Strategy
from option_baskets.domain.charges import order_charges
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.facts import Facts, MarginPart, in_force
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.money import ZERO
from option_baskets.domain.reasons import Reason
from option_baskets.domain.resolve import fresh_quote
from option_baskets.domain.session import Session, contract_close, hours_on, session_of, session_on
from option_baskets.pricing.chain import Chain, analyse
from option_baskets.pricing.kernels import Floats
from option_baskets.pricing.margin import NOTHING, Margin, MarginRates, estimate
from option_baskets.pricing.payoff import Leg, Position

YEAR = timedelta(days=365)
_DELTA_PLACES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Units of a contract at a price, in the order a person would name them. Negative units: sold."""

    contract: Contract
    units: int
    price: Decimal
    """Rupees per unit; of a future, an index level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryChain:
    """The chain of one expiry, with what a person needs beside the numbers."""

    underlying: str
    expiry: date
    at: datetime
    closes: datetime
    """When its contracts stop trading."""
    spot: Decimal | None
    strikes: tuple[Decimal, ...]
    stale: frozenset[Contract]
    """Contracts whose price is older than the snapshot's limit."""
    numbers: Chain

    def forward_deltas(self) -> dict[Contract, Decimal]:
        """Forward delta at the own volatility, rounded to 6 decimals, of every contract that has one."""
        found = {}
        for type_, wing in ((ContractType.CE, self.numbers.calls), (ContractType.PE, self.numbers.puts)):
            for strike, delta in zip(self.strikes, wing.greeks.delta.tolist(), strict=True):
                if np.isfinite(delta):
                    found[self.contract(strike, type_)] = Decimal(f"{delta:.{_DELTA_PLACES}f}")
        return found

    def contract(self, strike: Decimal, type_: ContractType) -> Contract:
        return Contract(underlying=self.underlying, expiry=self.expiry, type=type_, strike=strike)


@dataclass(slots=True, kw_only=True)
class Valuation:
    """One instant, valued. Chains are made on first use and kept. Not for several threads."""

    facts: Facts
    snapshot: Snapshot
    session: Session | None = None
    """The day's session, where a recorded file is the authority for it; None: our facts'."""
    rate: float = 0.0
    """Continuous, a year, for discounting; 0 is the convention for options on a forward."""
    open_interest: Mapping[Contract, int] = field(default_factory=dict)
    """Units; without any, what needs it is nan."""
    _chains: dict[tuple[str, date], ExpiryChain] = field(default_factory=dict)
    _deltas: dict[tuple[str, date], dict[Contract, Decimal]] = field(default_factory=dict)

    # ------------------------------------------------------------ time

    def closes(self, underlying: str, expiry: date) -> datetime:
        """When the contracts of an expiry stop trading for good."""
        exchange = exchange_of(self.facts, underlying)
        session = self.session
        if session is None or session.date != expiry:
            session = session_on(self.facts, expiry, exchange)
        if session is None:  # an expiry the list dates on a day our facts have no session of
            session = session_of(expiry, hours_on(self.facts, expiry).hours)
        return contract_close(self.facts, session, expiry)

    def years(self, underlying: str, expiry: date) -> float:
        """Calendar time to that instant over 365 days; 0 from then on."""
        return max((self.closes(underlying, expiry) - self.snapshot.at) / YEAR, 0.0)

    # ------------------------------------------------------------ chains

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Those with options, from the snapshot's day on, ascending."""
        today = self.snapshot.at.date()
        listed = self.snapshot.expiries(underlying)
        return tuple(day for day in listed if day >= today and self.snapshot.strikes(underlying, day))

    def chain(self, underlying: str, expiry: date) -> ExpiryChain:
        """Every listed strike of an expiry, analysed.

        Raises:
            NotFound: it has no options; the message says which expiries have.
        """
        key = (underlying, expiry)
        if key not in self._chains:
            self._chains[key] = self._analysed(underlying, expiry)
        return self._chains[key]

    def delta(self, contract: Contract) -> Decimal | None:
        """Of a listed option: forward delta at its own volatility, rounded to 6 decimals; None where its price implies
        none. What strike rules choose by (`domain/resolve.py: Deltas`)."""
        key = (contract.underlying, contract.expiry)
        if key not in self._deltas:
            self._deltas[key] = self.chain(*key).forward_deltas()
        return self._deltas[key].get(contract)

    def _analysed(self, underlying: str, expiry: date) -> ExpiryChain:
        strikes = self.snapshot.strikes(underlying, expiry)
        if not strikes:
            listed = ", ".join(map(str, self.expiries(underlying))) or "none"
            raise NotFound(f"{underlying} has no options expiring on {expiry}; expiries with options: {listed}")
        sides = {
            type_: [Contract(underlying=underlying, expiry=expiry, type=type_, strike=strike) for strike in strikes]
            for type_ in (ContractType.CE, ContractType.PE)
        }
        quotes = {contract: self.snapshot.quote(contract) for side in sides.values() for contract in side}
        stale = frozenset(contract for contract, quote in quotes.items() if quote and self._is_stale(quote))
        trust = np.asarray([not stale.intersection(pair) for pair in zip(*sides.values(), strict=True)], dtype=float)
        years = self.years(underlying, expiry)
        calls, puts = (_prices(quotes[contract] for contract in side) for side in sides.values())
        fresh = np.isfinite(calls) & np.isfinite(puts) & (trust > 0.0)
        numbers = analyse(
            [float(strike) for strike in strikes],
            calls,
            puts,
            years,
            discount=float(np.exp(-self.rate * years)),
            trust=trust if fresh.any() else 1.0,
            forward=self._stand_in(underlying, expiry),
            call_interest=self._interest(sides[ContractType.CE]),
            put_interest=self._interest(sides[ContractType.PE]),
        )
        spot = self.snapshot.spot(underlying)
        return ExpiryChain(
            underlying=underlying,
            expiry=expiry,
            at=self.snapshot.at,
            closes=self.closes(underlying, expiry),
            spot=spot.last if spot else None,
            strikes=strikes,
            stale=stale,
            numbers=numbers,
        )

    def _is_stale(self, quote: Quote) -> bool:
        return quote.age(self.snapshot.at) > self.snapshot.stale_after

    def _stand_in(self, underlying: str, expiry: date) -> float:
        """A forward where parity gives none: the future of that expiry, else the spot, else nan."""
        future = self.snapshot.quote(Contract(underlying=underlying, expiry=expiry, type=ContractType.FUT))
        quote = future or self.snapshot.spot(underlying)
        return float(quote.last) if quote else float("nan")

    def _interest(self, side: list[Contract]) -> Floats | None:
        if not any(contract in self.open_interest for contract in side):
            return None
        return np.asarray([self.open_interest.get(contract, float("nan")) for contract in side], dtype=float)

    # ------------------------------------------------------------ positions

    def holdings(
        self, strategy: Strategy, contracts: Mapping[str, Contract], lots: Mapping[str, int]
    ) -> tuple[Holding, ...]:
        """The resolved legs of a strategy with these lots (leg id to lots), at the prices known now.

        Raises:
            Refused: a contract has no fresh price.
        """
        return tuple(self._holding(strategy.leg(leg).side, contracts[leg], count) for leg, count in lots.items())

    def _holding(self, side: Side, contract: Contract, lots: int) -> Holding:
        quote = fresh_quote(contract, self.snapshot)
        listing = self.snapshot.listing(contract)
        if listing is None:
            raise Refused(Reason.NOT_LISTED, f"{contract.name} is not listed")
        return Holding(contract=contract, units=side.sign * lots * listing.lot_size, price=quote.last)

    def position(self, holdings: Iterable[Holding], *, charges: Decimal = ZERO) -> Position:
        """Holdings of one underlying as numbers: each option at its own volatility, or at the money's where it has
        none. Where there is no spot, the forward of the earliest expiry stands in for it."""
        held = list(holdings)
        legs = tuple(self._leg(holding) for holding in held)
        spot = self.snapshot.spot(held[0].contract.underlying)
        level = float(spot.last) if spot else min(legs, key=lambda leg: leg.years).forward
        return Position(legs=legs, spot=level, charges=float(charges), rate=self.rate)

    def _leg(self, holding: Holding) -> Leg:
        contract = holding.contract
        expires_today = contract.expiry == self.snapshot.at.date()
        years = self.years(contract.underlying, contract.expiry)
        units, price = float(holding.units), float(holding.price)
        if contract.strike is None:
            return Leg(quantity=units, entry=price, years=years, forward=price, expiring=expires_today)
        view = self.chain(contract.underlying, contract.expiry)
        wing = view.numbers.calls if contract.type is ContractType.CE else view.numbers.puts
        own = float(wing.volatility[view.strikes.index(contract.strike)])
        return Leg(
            quantity=units,
            entry=price,
            years=years,
            forward=view.numbers.forward,
            strike=float(contract.strike),
            is_call=contract.type is ContractType.CE,
            volatility=own if own > 0.0 else view.numbers.volatility,
            expiring=expires_today,
        )

    # ------------------------------------------------------------ costs

    def round_trip_charges(self, holdings: Iterable[Holding], charges_as: str) -> Decimal | None:
        """Rupees for entering and leaving at the entry prices, sliced at the freeze quantity; None where a rate is
        not known."""
        total = ZERO
        for holding in holdings:
            for side in Side:
                cost = self._order_charges(holding, side, charges_as)
                if cost is None:
                    return None
                total += cost
        return total

    def _order_charges(self, holding: Holding, side: Side, charges_as: str) -> Decimal | None:
        contract = holding.contract
        listing = self.snapshot.listing(contract)
        assert listing is not None
        total = ZERO
        for quantity in slices(abs(holding.units) // listing.lot_size, listing.lot_size, listing.freeze_quantity):
            order = order_charges(
                self.facts,
                broker=charges_as,
                exchange=exchange_of(self.facts, contract.underlying),
                type=contract.type,
                side=side,
                quantity=quantity,
                value=holding.price * quantity,
                on=self.snapshot.at.date(),
            )
            if order.total is None:
                return None
            total += order.total
        return total

    def margin(self, holdings: Iterable[Holding]) -> Margin:
        """The estimated margin of one account's holdings: netted by contract, then together by underlying."""
        units: dict[Contract, int] = {}
        cash: dict[Contract, Decimal] = {}
        for each in holdings:
            units[each.contract] = units.get(each.contract, 0) + each.units
            cash[each.contract] = cash.get(each.contract, ZERO) + each.units * each.price
        by_underlying: dict[str, list[Holding]] = {}
        for contract in (contract for contract, count in units.items() if count):
            net = Holding(contract=contract, units=units[contract], price=cash[contract] / units[contract])
            by_underlying.setdefault(contract.underlying, []).append(net)
        rates = margin_rates(self.facts, self.snapshot.at.date())
        return sum((estimate(self.position(group), rates) for group in by_underlying.values()), NOTHING)


def margin_rates(facts: Facts, on: date) -> MarginRates:
    """The rates in force on a day; an add-on without a row is not charged."""

    def fraction(part: MarginPart, otherwise: str = "0") -> float:
        row = in_force((row for row in facts.margins if row.part is part), on)
        return float((row.percent if row else Decimal(otherwise)) / 100)

    return MarginRates(
        exposure=fraction(MarginPart.EXPOSURE),
        expiry_day=fraction(MarginPart.EXPIRY_DAY),
        scan=fraction(MarginPart.PRICE_SCAN),
        extreme_scan=fraction(MarginPart.EXTREME_SCAN),
        extreme_share=fraction(MarginPart.EXTREME_SHARE),
        calendar_spread=fraction(MarginPart.CALENDAR_SPREAD, "100"),
    )


def _prices(quotes: Iterable[Quote | None]) -> Floats:
    return np.asarray([float(quote.last) if quote else float("nan") for quote in quotes], dtype=float)
