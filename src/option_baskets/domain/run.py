"""A run: one strategy on one cycle, with the strategy as it was when it entered and every position it opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.allocation import Allocation, lots_by_leg
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.copies import copied
from option_baskets.domain.dynamic import DynamicUnits
from option_baskets.domain.entry_rules import Restart
from option_baskets.domain.external import External
from option_baskets.domain.ids import Action
from option_baskets.domain.money import ZERO
from option_baskets.domain.order import Fill, Intent
from option_baskets.domain.pending import Pending
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.settlement import Settlement


class RunStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    WAITING = "WAITING"
    """Nothing is held and something may still be entered."""
    ENTERING = "ENTERING"
    ACTIVE = "ACTIVE"
    EXITING = "EXITING"
    CLOSED = "CLOSED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"

    @property
    def is_over(self) -> bool:
        return self in {RunStatus.CLOSED, RunStatus.SKIPPED, RunStatus.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPosition:
    """A resolved leg on one account: (leg, account, entry number), what was intended, and what was filled.

    Filled quantities and values come from fills alone. Quantities are units, values rupees.
    """

    leg: str
    account: str
    entry_number: int
    contract: Contract
    side: Side
    lots: int
    lot_size: int
    freeze_quantity: int | None
    tick: Decimal
    entered: int = 0
    entered_value: Decimal = ZERO
    exited: int = 0
    exited_value: Decimal = ZERO
    entry_time: datetime | None = None
    """When the entry was first filled."""
    exit_time: datetime | None = None
    """When the last unit was closed."""
    entry_final: bool = False
    """No more of the entry will be filled."""
    exit_reason: ExitReason | None = None
    """The rule that first decided to close it; later causes join and do not replace it."""
    exit_level: Decimal | None = None
    """The price at which a rule that fired inside a recorded bar fills."""
    entry_spot: Decimal | None = None
    """The underlying known when the entry was decided, index points; kept where a rule of the leg measures from it."""
    trail_steps: int = 0
    """How many steps the trail has moved the stop; it never moves back."""
    cost_at: datetime | None = None
    """When the stop was moved to the entry price."""
    shortfall: Reason | None = None
    """Why less than intended was entered."""
    settlement: Settlement | None = None
    """What was held at the expiry, and at what it settled."""
    external: tuple[External, ...] = ()
    """What of it was closed without an order of ours; counted in ``exited``."""
    late: int = 0
    """Units of the entry that were filled after it was final, or beyond what was intended: they are not kept."""
    mark: Decimal | None = None
    """Its price at the last session's close it was held over, rupees per unit."""
    batch: int = 0
    """What is entered together on its account has one number, and is unwound together; 0 at the run's entry."""
    due: datetime | None = None
    """When it was decided to enter it, its pending entry's ``due``; None: with the run, at its entry minute."""

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.leg, self.account, self.entry_number)

    @property
    def intended(self) -> int:
        return self.lots * self.lot_size

    @property
    def open(self) -> int:
        """Units still held; below zero where exits filled more than there was, and the position is turned round."""
        return self.entered - self.exited

    @property
    def excess(self) -> int:
        """Units held that are to be closed; below zero: how far the position is turned round."""
        if self.exit_reason is not None or self.open < 0:
            return self.open
        return min(self.open, max(0, self.late - self.exited))

    @property
    def entry_price(self) -> Decimal | None:
        """Average fill of the entry, rupees per unit, exact; None before the first fill."""
        return self.entered_value / self.entered if self.entered else None

    @property
    def exit_price(self) -> Decimal | None:
        return self.exited_value / self.exited if self.exited else None

    @property
    def gross(self) -> Decimal:
        """Realised profit in rupees on the units closed so far, before charges."""
        if not self.exited:
            return ZERO
        cost = self.entered_value if self.exited == self.entered else self.entered_value * self.exited / self.entered
        return (self.exited_value - cost) * self.side.sign

    def profit(self, last: Decimal) -> Decimal:
        """Realised and unrealised profit in rupees, before charges: exact, as nothing is divided."""
        return (self.exited_value + last * self.open - self.entered_value) * self.side.sign

    def unrealised(self, last: Decimal) -> Decimal:
        """Profit in rupees on the units still held, at this price."""
        if not self.open:
            return ZERO
        cost = self.entered_value * self.open / self.entered
        return (last * self.open - cost) * self.side.sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Lots intended but not traded, with the reason: nothing intended disappears (I1)."""

    leg: str
    account: str
    quantity: int
    reason: Reason
    detail: str = ""
    at: datetime | None = None
    """When that was decided; None: at the run's entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who entered a run by hand."""

    by: str
    key: str = ""
    """What tells a repeated request from another one, in the words of whoever asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One strategy on one cycle. An open run keeps the strategy version it entered with."""

    id: str
    user_id: str
    date: date
    cycle: int
    basket: Basket
    strategy: Strategy
    allocations: tuple[Allocation, ...]
    entry_at: datetime
    exit_at: datetime
    status: RunStatus = RunStatus.SCHEDULED
    reason: Reason | None = None
    detail: str = ""
    """A sentence for a person: why it was skipped or failed, or what was adjusted."""
    positions: tuple[LegPosition, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    pending: tuple[Pending, ...] = ()
    dynamic: DynamicUnits | None = None
    """The units a policy gave its strategy that morning; None: no allocation has a policy."""
    restarts: Restart = field(default_factory=Restart)
    """How many restarts after a stop and after a target there were before this cycle."""
    asked: Asked | None = None
    """By whom it was entered by hand; None: by its schedule, or by a restart."""
    followed_by: str = ""
    """The run of the next cycle, claimed when this one closed."""
    locked: Mapping[str, int] = field(default_factory=dict)
    """Where a profit is locked: the steps its peak has made, by account, or under ``""`` of the whole run."""
    baseline: Mapping[str, Decimal] = field(default_factory=dict)
    """What was made up to the last session's close it was held over, at that close's marks: net rupees by account."""
    version: int = 0

    def position(self, key: tuple[str, str, int]) -> LegPosition:
        return next(position for position in self.positions if position.key == key)

    def batch(self, account: str, number: int) -> tuple[LegPosition, ...]:
        """What was entered together on this account."""
        return tuple(each for each in self.positions if (each.account, each.batch) == (account, number))

    def is_closing(self, account: str, batch: int) -> bool:
        """Something has asked for a position of this batch to be closed."""
        return any(position.exit_reason is not None for position in self.batch(account, batch))

    def lots(self, allocation: Allocation) -> dict[str, int]:
        """Lots of every traded leg on an account, in the strategy's leg order."""
        today = self.dynamic.units if self.dynamic is not None else None
        return lots_by_leg(self.strategy, allocation, self.allocations, today)

    @property
    def closed_at(self) -> datetime | None:
        """When the last unit so far was closed."""
        return max((each.exit_time for each in self.positions if each.exit_time is not None), default=None)

    @property
    def is_flat(self) -> bool:
        return all(position.open == 0 for position in self.positions)


def settled(run: Run) -> Run:
    """The run in the status its positions say it has; before its entry and while one is under way, as it is.

    A fill that came after everything was over opens the run again.
    """
    if run.status is RunStatus.SCHEDULED or not all(position.entry_final for position in run.positions):
        return run
    if run.status.is_over and run.is_flat:
        return run
    entered = [position for position in run.positions if position.entered]
    if run.is_flat:
        if run.pending:
            return run if run.status is RunStatus.WAITING else replace(run, status=RunStatus.WAITING)
        if not run.positions:
            return _never_entered(run)
        if all(position.exit_reason is ExitReason.UNWIND for position in entered):
            short = run.shortfalls[0] if run.shortfalls else None
            reason = short.reason if short else Reason.ENTRY_FAILED
            return replace(run, status=RunStatus.FAILED, reason=reason, detail=short.detail if short else "")
        return replace(run, status=RunStatus.CLOSED)
    closing = any(position.excess for position in entered)
    status = RunStatus.EXITING if closing else RunStatus.ACTIVE
    return run if status is run.status else copied(run, status=status)


def _never_entered(run: Run) -> Run:
    """The run as it ends when all it did was wait."""
    waited = [short for short in run.shortfalls if short.reason is Reason.NOT_TRIGGERED]
    short = next(iter(waited or run.shortfalls), None)
    if short is None:
        return replace(run, status=RunStatus.SKIPPED, reason=Reason.NOT_TRIGGERED, detail="nothing set its entry off")
    return replace(run, status=RunStatus.SKIPPED, reason=short.reason, detail=short.detail)


def with_fills(run: Run, fills: Sequence[tuple[Intent, Fill]]) -> Run:
    """The run with the fills in its positions."""
    if not fills:
        return run
    positions = {position.key: position for position in run.positions}
    for intent, fill in fills:
        key = (intent.leg, intent.account, intent.entry_number)
        positions[key] = _filled(positions[key], intent, fill)
    return settled(copied(run, positions=tuple(positions.values())))


def _filled(position: LegPosition, intent: Intent, fill: Fill) -> LegPosition:
    if intent.action is Action.ENTER:
        entered = position.entered + fill.quantity
        late = fill.quantity if position.entry_final else max(0, entered - position.intended)
        return copied(
            position,
            entered=entered,
            entered_value=position.entered_value + fill.value,
            entry_time=position.entry_time or fill.at,
            entry_final=position.entry_final or entered >= position.intended,
            late=position.late + late,
        )
    sign = 1 if intent.side is position.side.opposite else -1  # an exit on the entry's side nets back another
    after = replace(
        position,
        exited=position.exited + sign * fill.quantity,
        exited_value=position.exited_value + sign * fill.value,
        exit_time=fill.at,
    )
    return _taken_back(after) if after.open < 0 and after.external else after


def _taken_back(position: LegPosition) -> LegPosition:
    """What was taken for a person's closing turns out to be a fill of ours that came late: it counts once."""
    *rest, last = position.external
    units = min(last.quantity, -position.open)
    left = replace(last, quantity=last.quantity - units)
    after = replace(
        position,
        exited=position.exited - units,
        exited_value=position.exited_value - last.price * units,
        external=(*rest, left) if left.quantity else tuple(rest),
    )
    return _taken_back(after) if after.open < 0 and after.external else after


def with_external(run: Run, key: tuple[str, str, int], external: External) -> Run:
    """The run with units of one position closed without an order of ours; the first rule that closed it stays."""
    before = run.position(key)
    after = replace(
        before,
        exited=before.exited + external.quantity,
        exited_value=before.exited_value + external.value,
        exit_time=external.at,
        external=(*before.external, external),
    )
    if not after.open and after.exit_reason is None:
        after = replace(after, exit_reason=ExitReason.EXTERNAL)
    return settled(replace(run, positions=tuple(after if each is before else each for each in run.positions)))


def with_settlement(run: Run, key: tuple[str, str, int], settlement: Settlement) -> Run:
    """The run with one position settled: closed by its expiry, unless a rule had sold part of it before."""
    before = run.position(key)
    after = replace(
        before,
        exited=before.exited + settlement.quantity,
        exited_value=before.exited_value + settlement.value,
        exit_time=settlement.at,
        exit_reason=ExitReason.EXPIRY if before.exited == 0 else before.exit_reason or ExitReason.EXPIRY,
        entry_final=True,
        settlement=settlement,
    )
    return settled(replace(run, positions=tuple(after if each is before else each for each in run.positions)))
