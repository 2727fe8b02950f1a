"""What a rule reads of an underlying while its index stands still in the closing auction of the cash market.

Options trade on, so their parity tells where the index would be: the synthetic less what it was above the spot when the
window began. One snapshot stands before the raw one, so that no rule can read the standing index.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from option_baskets.domain.contract import Contract, ContractType, Listing
from option_baskets.domain.facts import Facts
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.reference import is_fresh, nearest_strike
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST, Window, at, hours_on, spot_frozen_on

_IN_TIME = timedelta(minutes=1)
"""How late the start of a window may have been seen for its basis to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The start of the window: the spot, and call less put at the strike nearest to it. Index points."""

    spot: Decimal
    call: Contract
    put: Contract
    difference: Decimal

    def spot_in(self, snapshot: Snapshot) -> Quote | None:
        """The spot now: what it was, moved as the synthetic has moved since. None: there is no fresh synthetic."""
        call, put = snapshot.quote(self.call), snapshot.quote(self.put)
        if call is None or put is None or not (is_fresh(call, snapshot) and is_fresh(put, snapshot)):
            return None
        last = self.spot + call.last - put.last - self.difference
        return Quote(last=last, as_of=min(call.as_of, put.as_of))


@dataclass(slots=True)
class WindowStart:
    """The market when the window began; every basis is taken from it."""

    window: Window
    snapshot: Snapshot
    facts: Facts
    _known: dict[str, Basis | None] = field(default_factory=dict)

    def basis(self, underlying: str) -> Basis | None:
        """None: there was no fresh spot or synthetic then, or nobody saw the start."""
        if underlying not in self._known:
            self._known[underlying] = self._basis(underlying)
        return self._known[underlying]

    def _basis(self, underlying: str) -> Basis | None:
        snapshot = self.snapshot
        spot, expiry = snapshot.spot(underlying), self._expiry(underlying)
        if snapshot.at - self.window.open > _IN_TIME or spot is None or not is_fresh(spot, snapshot) or expiry is None:
            return None
        strike = nearest_strike(snapshot.strikes(underlying, expiry), spot.last)
        call, put = (
            Contract(underlying=underlying, expiry=expiry, type=type_, strike=strike)
            for type_ in (ContractType.CE, ContractType.PE)
        )
        basis = Basis(spot=spot.last, call=call, put=put, difference=Decimal(0))
        then = basis.spot_in(snapshot)
        return None if then is None else replace(basis, difference=then.last - spot.last)

    def _expiry(self, underlying: str) -> date | None:
        """The nearest with options that trade through the whole window."""
        today = self.window.open.astimezone(IST).date()
        early = hours_on(self.facts, today).expiring_close
        stops_before = early is not None and at(today, early) < self.window.close
        for expiry in self.snapshot.expiries(underlying):
            trades = expiry > today or (expiry == today and not stops_before)
            if trades and self.snapshot.strikes(underlying, expiry):
                return expiry
        return None


class ReadableSnapshot:
    """A snapshot of the window or after it: the raw one, but for the spot a rule may read."""

    __slots__ = ("_raw", "_spots", "_start", "at")

    def __init__(self, raw: Snapshot, start: WindowStart) -> None:
        self.at = raw.at
        self._raw = raw
        self._start = start
        self._spots: dict[str, Quote | None] = {}

    def spot(self, underlying: str) -> Quote | None:
        """The index where it has moved since the window ended; until then by the synthetic, None without one."""
        if underlying not in self._spots:
            self._spots[underlying] = self._spot(underlying)
        return self._spots[underlying]

    def is_frozen(self, underlying: str) -> bool:
        """Whether the index itself tells nothing now."""
        raw = self._raw.spot(underlying)
        return raw is None or raw.as_of <= self._start.window.close

    def _spot(self, underlying: str) -> Quote | None:
        if not self.is_frozen(underlying):
            return self._raw.spot(underlying)
        basis = self._start.basis(underlying)
        return None if basis is None else basis.spot_in(self._raw)

    @property
    def stale_after(self) -> timedelta:
        return self._raw.stale_after

    def quote(self, contract: Contract) -> Quote | None:
        return self._raw.quote(contract)

    def expiries(self, underlying: str) -> tuple[date, ...]:
        return self._raw.expiries(underlying)

    def monthly_expiries(self, underlying: str) -> tuple[date, ...]:
        return self._raw.monthly_expiries(underlying)

    def listing(self, contract: Contract) -> Listing | None:
        return self._raw.listing(contract)

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        return self._raw.strikes(underlying, expiry)

    def strike_step(self, underlying: str, expiry: date) -> Decimal:
        return self._raw.strike_step(underlying, expiry)

    def contracts(self) -> Iterable[Contract]:
        return self._raw.contracts()


def frozen_since(facts: Facts, instant: datetime) -> Window | None:
    """The window of the instant's day, once it has begun: only what is known later may tell nothing of the index."""
    window = spot_frozen_on(facts, instant.astimezone(IST).date())
    return window if window is not None and instant > window.open else None


def readable(known: Callable[[datetime], Snapshot], instant: datetime, facts: Facts) -> Snapshot:
    """The snapshot of an instant as rules read it, of a market that is all known."""
    window = frozen_since(facts, instant)
    if window is None:
        return known(instant)
    start = WindowStart(window, known(window.open), facts)
    return ReadableSnapshot(known(instant), start)


def reads_underlying(run: Run) -> bool:
    """Whether a rule of something held or awaited looks at the price of the underlying."""
    legs = (run.strategy.leg(position.leg) for position in run.positions if position.open)
    if any(rule is not None and rule.underlying for leg in legs for rule in (leg.stop, leg.target)):
        return True
    triggers = (each.trigger for each in run.pending if each.trigger is not None)
    return any(price.contract is None for trigger in triggers for price in trigger.prices)
