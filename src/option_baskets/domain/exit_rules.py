"""The rules by which a leg or a whole strategy is left, as the user wrote them. What they do is in ``rules.py``."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """A distance from where the leg was entered: ``percent`` of a price, or ``points``. Exactly one is set.

    The price is the leg's average entry price (rupees per unit), or with ``underlying`` the underlying's price known
    when the entry was decided (index points).
    """

    percent: Decimal | None = None
    points: Decimal | None = None
    underlying: bool = False

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.points is None):
            raise ValueError("give percent or points, and only one of them")

    def of(self, entry: Decimal) -> Decimal:
        """The distance for this entry price, in its unit, unrounded."""
        if self.points is not None:
            return self.points
        assert self.percent is not None
        return entry * self.percent / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """For each ``every`` the price has moved in favour since the entry, the stop moves ``by`` in favour.

    Both are of one unit and of the leg's own price, and ``by`` is at most ``every``: a stop never reaches the price.
    """

    every: Distance
    by: Distance

    def __post_init__(self) -> None:
        one_unit = (self.every.percent is None) == (self.by.percent is None)
        if not one_unit or self.every.underlying or self.by.underlying:
            raise ValueError("a trail is in points or in percent of the leg's own price, both of its distances alike")

    def steps(self, units: int, entered_value: Decimal, in_favour: Decimal) -> int:
        """Whole steps in a profit of ``in_favour`` rupees on ``units`` that cost ``entered_value``; exact."""
        if in_favour <= 0:
            return 0
        if self.every.points is not None:
            return int(in_favour // (self.every.points * units))
        assert self.every.percent is not None
        return int(in_favour * 100 // (self.every.percent * entered_value))


class PriceUsed(StrEnum):
    """Which price of a leg its own rules look at."""

    LTP = "ltp"
    """The last price, and inside a recorded bar its high and low."""
    CLOSE = "close"
    """The close of the last finished minute."""


class Scope(StrEnum):
    """What a leg's stop or target closes on its account."""

    LEG = "leg"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A profit or loss of the strategy: ``rupees``, or ``premium_percent`` of its combined premium. One is set."""

    rupees: Decimal | None = None
    premium_percent: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.rupees is None) == (self.premium_percent is None):
            raise ValueError("give rupees or premium_percent, and only one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A profit that is kept: once ``at`` was reached, falling back to ``keep`` closes everything. Rupees of MTM.

    With ``every`` and ``by`` it trails: for each ``every`` the peak is above ``at``, ``by`` more is kept.
    """

    at: Decimal
    keep: Decimal
    every: Decimal | None = None
    by: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.every is None) != (self.by is None):
            raise ValueError("give every and by, or neither")

    def steps(self, peak: Decimal, units: int) -> int | None:
        """Whole steps of a peak above ``at``, both of so many units; None: it does not arm."""
        if peak < self.at * units:
            return None
        return 0 if self.every is None else int((peak - self.at * units) // (self.every * units))

    def next_peak(self, steps: int | None, units: int) -> Decimal | None:
        """The peak of so many units that makes the next step after these, or with None arms it; None: there is none."""
        if steps is None:
            return self.at * units
        return None if self.every is None else (self.at + self.every * (steps + 1)) * units

    def level(self, steps: int) -> Decimal:
        """What is kept after so many steps."""
        return self.keep if self.by is None else self.keep + self.by * steps


class Per(StrEnum):
    """Of what a strategy's MTM is taken: of the run on all accounts, of each account, or of a unit of the run."""

    RUN = "run"
    ACCOUNT = "account"
    UNIT = "unit"


class Mtm(StrEnum):
    """``net`` subtracts the charges accrued so far."""

    GROSS = "gross"
    NET = "net"


class PremiumBase(StrEnum):
    """The combined premium: what was sold less what was bought, or both added up."""

    AUTO = "auto"
    """Net; the entry is refused where that is less than a tenth of gross."""
    NET = "net"
    GROSS = "gross"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyExits:
    """When all legs on all accounts are left together."""

    stop: Amount | None = None
    target: Amount | None = None
    lock: Lock | None = None
    mtm: Mtm = Mtm.GROSS
    per: Per = Per.RUN
    premium_base: PremiumBase = PremiumBase.AUTO
    move_stop_to_cost: bool = False
    """Once a leg is stopped, the stops of the other sold legs on its account become their entry prices."""

    @property
    def reads_mtm(self) -> bool:
        return self.stop is not None or self.target is not None or self.lock is not None

    @property
    def reads_premium(self) -> bool:
        return any(rule is not None and rule.premium_percent is not None for rule in (self.stop, self.target))
