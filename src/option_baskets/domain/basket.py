"""What a user wrote: baskets, strategies, legs. Nothing here is resolved and nothing names a broker."""

from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.dynamic import DynamicPolicy
from option_baskets.domain.entry_rules import Again, Breakout, Move, Reentry, Restart
from option_baskets.domain.exit_rules import Distance, PriceUsed, Scope, StrategyExits, Trail

MAX_STRATEGIES = 10
MAX_LEGS = 6


class Mode(StrEnum):
    PAPER = "paper"
    LIVE = "live"


class Weekday(StrEnum):
    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"


class Reference(StrEnum):
    """The price strikes are measured from."""

    SPOT = "spot"
    SYNTHETIC = "synthetic"
    FUTURE = "future"


class Series(StrEnum):
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class OnFailure(StrEnum):
    """What becomes of an account's part of a run when an entry leg cannot be had."""

    UNWIND = "unwind"
    KEEP = "keep"


class OnBlind(StrEnum):
    """What is done about a sold leg whose prices have stopped coming."""

    ALERT = "alert"
    EXIT = "exit"


class Holding(StrEnum):
    """Until when a run is held."""

    INTRADAY = "intraday"
    NEXT_DAY = "next_day"
    """Its exit is at the exit time of the next trading day."""
    POSITIONAL = "positional"
    """Entered and left so many trading days before the earliest expiry of its legs."""


class Product(StrEnum):
    """How a broker holds it: MIS is squared off by the broker the same day, NRML is carried."""

    NRML = "NRML"
    MIS = "MIS"


class StrikeRule(StrEnum):
    ATM = "atm"
    ATM_POINTS = "atm_points"
    ATM_PERCENT = "atm_percent"
    STRIKE = "strike"
    PREMIUM = "premium"
    STRADDLE_PERCENT = "straddle_percent"
    STRADDLE_WIDTH = "straddle_width"
    DELTA = "delta"
    OF_LEG = "of_leg"


class Pick(StrEnum):
    CLOSEST = "closest"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    RANGE = "range"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRule:
    """``weekly`` n: the n-th distinct listed expiry of any series on or after the day; ``monthly`` n: of monthlies."""

    series: Series = Series.WEEKLY
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """Which strike. Only the fields of its rule are set; where a rule has a sign, positive is out of the money for the
    leg's own type (CE up, PE down):

    - ``atm``: ``offset`` steps from the money
    - ``atm_points``, ``atm_percent``: ``points``, or ``percent`` of the reference, from the reference
    - ``strike``: ``value``, the strike itself
    - ``premium``: ``pick`` and ``value`` (rupees per unit), or with ``range`` ``low`` and ``high``
    - ``straddle_percent``: ``pick`` and ``percent`` of the premium of the straddle at the money
    - ``straddle_width``: ``k`` times that premium from the money
    - ``delta``: ``value``, the size of the delta, between 0 and 1
    - ``of_leg``: ``points`` from the strike of ``leg``, an earlier leg's id
    """

    rule: StrikeRule
    offset: int | None = None
    points: Decimal | None = None
    percent: Decimal | None = None
    pick: Pick | None = None
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    k: Decimal | None = None
    leg: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSpec:
    """One leg as the user wrote it. ``ratio`` is lots per unit of the strategy."""

    id: str
    side: Side
    type: ContractType
    ratio: int = 1
    strike: Strike | None = None
    """None for a future only."""
    expiry: ExpiryRule | None = None
    """None: the strategy's rule; a future's default is the nearest monthly."""
    stop: Distance | None = None
    target: Distance | None = None
    trail: Trail | None = None
    """Moves the stop; only with a stop on the leg's own price."""
    price: PriceUsed = PriceUsed.LTP
    square_off: Scope = Scope.LEG
    lazy: bool = False
    """Not entered until a stop or target of another leg names it."""
    wait: Move | None = None
    """Entered once its price has moved so far from the one known at the entry minute."""
    breakout: Breakout | None = None
    """Entered once its premium leaves the range recorded from the entry minute on."""
    on_stop: Again | None = None
    on_target: Again | None = None

    @property
    def reentries(self) -> tuple[Reentry, ...]:
        """The ways in which its stop or target enters it again."""
        rules = (self.on_stop, self.on_target)
        return tuple(rule.reenter for rule in rules if rule is not None and rule.reenter is not None)

    @property
    def is_reversed(self) -> bool:
        """It may be entered again on the other side."""
        return any(kind.is_reverse for kind in self.reentries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When, in exchange time. ``days`` and ``dte`` must both hold; an empty ``dte`` means any."""

    entry: time
    exit: time
    days: tuple[Weekday, ...] = tuple(Weekday)
    dte: tuple[int, ...] = ()
    """Trading days after today up to and including the strategy's earliest leg expiry; 0 on expiry day."""
    holding: Holding = Holding.INTRADAY
    enter_before: int | None = None
    """Positional: trading days before the earliest expiry of its legs on which it is entered."""
    exit_before: int | None = None
    """Positional: trading days before that expiry on which it is left; at most ``enter_before``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A plan: at most six legs on one underlying. It names no broker; allocations do."""

    id: str
    basket_id: str
    name: str
    underlying: str
    schedule: Schedule
    legs: tuple[LegSpec, ...]
    units: int = 1
    """Base units: what allocations with a multiplier multiply, and those with a weight split."""
    expiry: ExpiryRule = field(default_factory=ExpiryRule)
    reference: Reference = Reference.SPOT
    naked: bool = False
    """The user accepts shorts with less cover than the plan has at full entry."""
    special_sessions: bool = False
    """Trade weekend, Muhurat and disaster-recovery sessions too."""
    on_failure: OnFailure = OnFailure.UNWIND
    on_blind: OnBlind = OnBlind.ALERT
    exits: StrategyExits = field(default_factory=StrategyExits)
    product: Product = Product.NRML
    settle: bool = False
    """Legs may be held into their expiry and settle in cash."""
    wait: Move | None = None
    """Entered once its net premium per unit, sold less bought, has moved so far from the one known at its minute."""
    breakout: Breakout | None = None
    """Entered once the underlying leaves the range recorded from the entry minute on."""
    reenter_until: time | None = None
    """No leg is entered again at or after this time."""
    restart: Restart | None = None
    entry_grace_seconds: int = 60
    """A late entry is still taken within this many seconds of its minute."""
    slippage_limit_percent: Decimal = Decimal(5)
    """How far an entry is chased from the price known at its minute, in % of it (at least 2 rupees)."""
    paused: bool = False
    version: int = 0

    def leg(self, leg_id: str) -> LegSpec:
        return next(leg for leg in self.legs if leg.id == leg_id)

    def expiry_rule(self, leg: LegSpec) -> ExpiryRule:
        if leg.expiry is not None:
            return leg.expiry
        return ExpiryRule(series=Series.MONTHLY) if leg.type is ContractType.FUT else self.expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """A user's container of at most ten strategies."""

    id: str
    name: str
    capital: Decimal
    """Rupees."""
    mode: Mode = Mode.PAPER
    paused: bool = False
    max_daily_loss: Decimal | None = None
    """Rupees of net loss in a day at which its strategies are left and not entered again that day."""
    max_drawdown_percent: Decimal | None = None
    """Of capital: how far capital and net profit so far may fall from their highest before the same happens."""
    dynamic: tuple[DynamicPolicy, ...] = ()
    """How strategies of the basket share units from day to day."""
    version: int = 0

    def policy(self, policy_id: str) -> DynamicPolicy | None:
        return next((policy for policy in self.dynamic if policy.id == policy_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccount:
    """A user's account at a broker, without its secrets."""

    id: str
    broker: str = "paper"
    charges_as: str = "zerodha"
    """Whose brokerage and rate limits apply; matters for paper accounts."""
    max_daily_loss: Decimal | None = None
    """Rupees of net loss in a day over all its strategies at which they are left on it for the rest of that day."""
    version: int = 0
