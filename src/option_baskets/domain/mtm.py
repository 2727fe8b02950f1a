"""The rules of a whole strategy: stop and target on its profit, and profits that are locked.

MTM is realised and unrealised profit at last prices over the accounts of the run; a leg without a newer price keeps its
last one and never suppresses a rule. Everything is compared exactly, in rupees.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from option_baskets.domain.exit_rules import Amount, Lock, Mtm, Per, PremiumBase, StrategyExits
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import HUNDRED, ZERO
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition, Run

SMALLEST_NET = Decimal("0.1")
"""Of the gross premium; below it a percentage of the net premium means little, and the user says which is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Premium:
    """What option legs cost, rupees: |sold - bought|, and both added up."""

    net: Decimal
    gross: Decimal

    @property
    def needs_base(self) -> bool:
        return self.net < self.gross * SMALLEST_NET

    def of(self, base: PremiumBase) -> Decimal:
        return self.gross if base is PremiumBase.GROSS else self.net


def combined(parts: Iterable[tuple[LegPosition, Decimal]]) -> Premium:
    """The combined premium of positions with what each was, or will be, entered for, in rupees."""
    options = [(position, value) for position, value in parts if position.contract.type.is_option]
    net = sum((value * position.side.sign for position, value in options), ZERO)
    return Premium(net=abs(net), gross=sum((value for _, value in options), ZERO))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one evaluation reads: the run, or one account's part of it."""

    name: str
    """The account; ``""`` is the whole run."""
    mtm: Decimal
    premium: Premium | None
    """None while the entry is not final."""
    units: int
    """By which amounts in rupees are multiplied: 1, or the units held where amounts are for one."""


def locked(run: Run, market: Snapshot, charges: Mapping[str, Decimal]) -> Mapping[str, int]:
    """The run's ``locked`` after the peaks are updated with what the snapshot shows; the very same if none rose."""
    lock = run.strategy.exits.lock
    if lock is None:
        return run.locked
    steps = dict(run.locked)
    for part in _parts(run, market, charges):
        reached = lock.steps(part.mtm, part.units)
        if reached is not None:
            steps[part.name] = max(reached, steps.get(part.name, 0))
    return run.locked if steps == run.locked else steps


def strategy_hit(run: Run, market: Snapshot, charges: Mapping[str, Decimal]) -> ExitReason | None:
    """The first rule of the whole strategy that fires: stop, then lock, then target. ``run.locked`` is up to date."""
    exits = run.strategy.exits
    if not exits.reads_mtm:
        return None
    parts = tuple(_parts(run, market, charges))
    if exits.stop is not None and any(_lost(exits.stop, part, exits) for part in parts):
        return ExitReason.STRATEGY_STOP
    if exits.lock is not None and any(_fell_back(exits.lock, part, run.locked) for part in parts):
        return ExitReason.LOCK
    if exits.target is not None and any(_made(exits.target, part, exits) for part in parts):
        return ExitReason.STRATEGY_TARGET
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietSum:
    """While the gross profit of these positions lies between the bounds, both exclusive, no rule of the strategy does
    anything: none fires, and no peak makes a step. Rupees; None: there is no bound on that side."""

    positions: tuple[LegPosition, ...]
    low: Decimal | None
    high: Decimal | None


def quiet_sums(run: Run) -> Iterator[QuietSum]:
    """What the strategy's rules watch, as the run is now, before any charges."""
    exits = run.strategy.exits
    for group in _groups(run) if exits.reads_mtm else ():
        lows: list[Decimal] = []
        highs: list[Decimal] = []
        if exits.stop is not None and (amount := _rupees(exits.stop, group, exits)) is not None:
            lows.append(-amount)
        if exits.target is not None and (amount := _rupees(exits.target, group, exits)) is not None:
            highs.append(amount)
        if exits.lock is not None:
            steps = run.locked.get(group.name)
            if steps is not None:
                lows.append(exits.lock.level(steps) * group.units)
            peak = exits.lock.next_peak(steps, group.units)
            highs += [] if peak is None else [peak]
        yield QuietSum(positions=group.positions, low=max(lows, default=None), high=min(highs, default=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLevels:
    """At which profit the strategy's rules fire, rupees; None: there is no such rule, or the premium is not known."""

    account: str
    """``""``: over all of them."""
    stop: Decimal | None
    target: Decimal | None
    lock: Decimal | None
    """What it keeps at first."""


def whole_levels(run: Run) -> Iterator[WholeLevels]:
    """For each account where the rules are held there, else once; of what has been entered."""
    exits = run.strategy.exits
    for group in _groups(run) if exits.reads_mtm else ():
        stop, target = (None if rule is None else _rupees(rule, group, exits) for rule in (exits.stop, exits.target))
        yield WholeLevels(
            account=group.name,
            stop=None if stop is None else -stop,
            target=target,
            lock=None if exits.lock is None else exits.lock.keep * group.units,
        )


def _lost(stop: Amount, part: _Part, exits: StrategyExits) -> bool:
    amount = _rupees(stop, part, exits)
    return amount is not None and part.mtm <= -amount


def _made(target: Amount, part: _Part, exits: StrategyExits) -> bool:
    amount = _rupees(target, part, exits)
    return amount is not None and part.mtm >= amount


def _fell_back(lock: Lock, part: _Part, steps: Mapping[str, int]) -> bool:
    return part.name in steps and part.mtm <= lock.level(steps[part.name]) * part.units


def _rupees(amount: Amount, part: "_Part | _Group", exits: StrategyExits) -> Decimal | None:
    if amount.rupees is not None:
        return amount.rupees * part.units
    assert amount.premium_percent is not None
    return None if part.premium is None else part.premium.of(exits.premium_base) * amount.premium_percent / HUNDRED


def _parts(run: Run, market: Snapshot, charges: Mapping[str, Decimal]) -> Iterator[_Part]:
    """What of the run has been entered; before a first fill there is nothing to read."""
    for group in _groups(run):
        mtm = sum((profit_at(position, market) for position in group.positions), ZERO)
        if run.strategy.exits.mtm is Mtm.NET:
            mtm -= sum((charges.get(account, ZERO) for account in group.accounts), ZERO)
        yield _Part(name=group.name, mtm=mtm, premium=group.premium, units=group.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A part before any price is looked at."""

    name: str
    accounts: tuple[str, ...]
    positions: tuple[LegPosition, ...]
    """Whose profits are summed."""
    premium: Premium | None
    units: int


def _groups(run: Run) -> Iterator[_Group]:
    exits = run.strategy.exits
    entered = [position for position in run.positions if position.entered]
    accounts = tuple(dict.fromkeys(position.account for position in entered))
    groups = [(account, (account,)) for account in accounts] if exits.per is Per.ACCOUNT else [("", accounts)]
    for name, members in groups:
        positions = tuple(position for position in entered if position.account in members)
        standing = [position for position in positions if position.exit_reason is not ExitReason.UNWIND]
        if not standing:
            continue
        first = _first_entry(run, name)
        is_final = all(each.entry_final for each in first)
        yield _Group(
            name=name,
            accounts=members,
            positions=positions,
            premium=combined((each, each.entered_value) for each in first) if is_final else None,
            units=_units(run, (each for each in standing if _is_planned(run, each))) if exits.per is Per.UNIT else 1,
        )


def _is_planned(run: Run, position: LegPosition) -> bool:
    """It is of the plan's own entry: neither entered again nor a lazy leg that woke."""
    return position.entry_number == 0 and not run.strategy.leg(position.leg).lazy


def _first_entry(run: Run, account: str) -> tuple[LegPosition, ...]:
    """The cycle's first entry on one account, or with ``""`` on all; what was unwound was no entry.

    It is what was decided first: what was entered at the entry minute, or where everything waited, what was set off
    first. Legs that come later or again do not move what a percentage of the premium is of.
    """
    standing = (each for each in run.positions if each.exit_reason is not ExitReason.UNWIND)
    planned = [each for each in standing if account in {"", each.account} and _is_planned(run, each)]
    decided = min((each.due or run.entry_at for each in planned), default=None)
    return tuple(each for each in planned if (each.due or run.entry_at) == decided)


def profit_at(position: LegPosition, market: Snapshot) -> Decimal:
    """Rupees at the last price, but nothing on what was entered after the snapshot: its price is not known there.

    Where the session has no price of it yet, the last close's mark is the last price.
    """
    quote = market.quote(position.contract)
    last = quote.last if quote is not None else position.mark
    if last is None or position.entry_time is None or position.entry_time >= market.at:
        return position.gross
    return position.profit(last)


def _units(run: Run, standing: Iterable[LegPosition]) -> int:
    """Whole units of the strategy on the accounts that hold or held some of it, at least one."""
    units: dict[str, int] = {}
    for position in standing:
        of_leg = position.lots // run.strategy.leg(position.leg).ratio
        units[position.account] = min(of_leg, units.get(position.account, of_leg))
    return max(sum(units.values()), 1)
