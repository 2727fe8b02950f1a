"""Which runs a stop check has to step: the rules of all runs as arrays, looked at with one price a contract.

It may only select too many: ``rules.step`` decides. A run is screened by its exit time and by what ``quiet_ranges`` and
``quiet_sums`` say of its rules. Whatever else it has - an entry that is awaited, something being closed, charges, a
rule that is not in ``KNOWN`` - has it stepped at every check.

Levels and prices are floats here, with a margin far above any rounding and far below a tick, so that a level that is
reached exactly is never missed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import Contract
from option_baskets.domain.exit_rules import Amount, Distance, Lock, Mtm, PriceUsed, StrategyExits, Trail
from option_baskets.domain.levels import quiet_ranges
from option_baskets.domain.market import Snapshot
from option_baskets.domain.mtm import quiet_sums
from option_baskets.domain.run import LegPosition, Run, RunStatus
from option_baskets.engine.blocks import NOTHING, Block, Blocks
from option_baskets.engine.runs import RunKey

OPEN = frozenset({RunStatus.WAITING, RunStatus.ENTERING, RunStatus.ACTIVE, RunStatus.EXITING})
"""A run that holds something or waits for an entry."""

KNOWN: Mapping[type, str] = {
    Run: """
        id user_id date cycle basket strategy allocations entry_at exit_at status reason detail positions shortfalls
        dynamic restarts asked followed_by locked baseline version
    """,
    LegPosition: """
        leg account entry_number contract side lots lot_size freeze_quantity tick entered entered_value exited
        exited_value entry_time exit_time entry_final exit_reason exit_level entry_spot trail_steps cost_at shortfall
        settlement mark batch due external late
    """,
    Strategy: """
        id basket_id name underlying schedule legs units expiry reference naked special_sessions on_failure on_blind
        exits product settle wait breakout reenter_until restart entry_grace_seconds slippage_limit_percent paused
        version
    """,
    LegSpec: "id side type ratio strike expiry stop target trail price square_off lazy wait breakout on_stop on_target",
    StrategyExits: "stop target lock mtm per premium_base move_stop_to_cost",
    Distance: "percent points underlying",
    Trail: "every by",
    Amount: "rupees premium_percent",
    Lock: "at keep every by",
}
"""Of each of these fields it is known that a check finds it in the arrays, or that nothing happens by it alone. Another
field that is not at its default, e.g. ``Run.pending``, and another type in their place is a rule, or a state of one,
that the screen was not taught."""

_PRICES_KNOWN = {PriceUsed.LTP, PriceUsed.CLOSE}

_OF_A_PRICE = 1e-9
"""A float is within 1e-16 of its decimal, and levels that differ at all differ by far more."""
_OF_A_SUM = 1e-12
"""Of the sizes of all terms: as much as ten thousand roundings to 1e-16."""
_MOMENT = 1e-3
"""Seconds; since 1970 they are exact to a microsecond."""

Floats = NDArray[np.float64]


class Screen:
    """The runs as they were last taken up. A run that changes has its rows written anew, and no other's are touched."""

    def __init__(self, known: Mapping[type, str] = KNOWN) -> None:
        self._taught = _Taught(known)
        self._things = _Things()
        low, high = (float, -inf), (float, inf)
        count = (float, 0)
        self._legs = Blocks(thing=(np.intp, 0), part=(np.intp, 0), low=low, high=high, units=count)
        self._parts = Blocks(run=(np.intp, 0), known=count, low=low, high=high, size=count, units=count)
        self._runs = Blocks(exit_at=(float, inf), newest=(float, -inf), always=(bool, False))
        self._keys: dict[int, RunKey] = {}
        self._places: dict[RunKey, _Place] = {}

    def take_up(self, key: RunKey, run: Run | None) -> None:
        """Have the run as it is now; None, or a run that is over or not begun: no longer."""
        place = self._places.pop(key, None) or _Place()
        for thing in place.things:
            self._things.release(thing)
        if run is None or run.status not in OPEN:
            for blocks, block in ((self._legs, place.legs), (self._parts, place.parts), (self._runs, place.run)):
                blocks.drop(block)
            self._keys.pop(place.run.start, None)
            return
        always = not _is_screened(run, self._taught)
        watched = [] if always else list(_watched(run))
        newest = max((each.entry_time.timestamp() for each in run.positions if each.entry_time), default=-inf)
        place.run = self._runs.write(
            place.run, {"exit_at": [run.exit_at.timestamp()], "newest": [newest], "always": [always]}
        )
        place.parts = self._parts.write(place.parts, _columns(watched, _PART, run=place.run.start))
        rows = [(place.parts.start + n, row) for n, part in enumerate(watched) for row in part.rows]
        place.things = [self._things.use(row.thing) for _, row in rows]
        place.legs = self._legs.write(
            place.legs,
            {
                "thing": place.things,
                "part": [part for part, _ in rows],
                "low": [row.low for _, row in rows],
                "high": [row.high for _, row in rows],
                "units": [row.units for _, row in rows],
            },
        )
        self._keys[place.run.start] = key
        self._places[key] = place

    def select(self, snapshot: Snapshot) -> list[RunKey]:
        """Every run that ``step`` would change at this snapshot, and perhaps more; ordered by user and id."""
        last, low, high = self._things.prices(snapshot)
        legs, parts, runs = self._legs, self._parts, self._runs
        thing, part = legs["thing"], legs["part"]
        beyond = (high[thing] >= legs["high"]) | (low[thing] <= legs["low"])
        profit = parts["known"] + np.bincount(part, legs["units"] * last[thing], len(parts))
        slack = _OF_A_PRICE + _OF_A_SUM * (parts["size"] + np.nanmax(last) * parts["units"])
        # Written so that what is not a number, where a price is missing, is not quiet.
        quiet = (profit > parts["low"] + slack) & (profit < parts["high"] - slack)
        now = snapshot.at.timestamp()
        chosen = runs["always"] | (runs["exit_at"] <= now + _MOMENT) | (runs["newest"] >= now - _MOMENT)
        chosen[parts["run"][~quiet]] = True
        chosen[parts["run"][part[beyond]]] = True
        chosen[0] = False
        return sorted(self._keys[run] for run in np.flatnonzero(chosen).tolist())


@dataclass(slots=True)
class _Place:
    """Where a run's rows are."""

    run: Block = NOTHING
    parts: Block = NOTHING
    legs: Block = NOTHING
    things: list[int] = field(default_factory=list)


# ---------------------------------------------------------------- what a run watches


@dataclass(slots=True)
class _Row:
    """A price between whose bounds nothing happens, and how often it counts in a profit."""

    thing: Contract | str
    low: float = -inf
    high: float = inf
    units: int = 0


@dataclass(slots=True)
class _Part:
    """Positions whose profit is summed, between whose bounds nothing happens."""

    rows: list[_Row]
    known: float = 0.0
    """Rupees, without what is held."""
    low: float = -inf
    high: float = inf
    size: float = 0.0
    """Of the terms and bounds together, rupees."""
    units: int = 0


_PART = ("known", "low", "high", "size", "units")


def _columns(parts: Iterable[_Part], names: Iterable[str], *, run: int) -> dict[str, list[Any]]:
    rows = list(parts)
    return {"run": [run] * len(rows)} | {name: [getattr(row, name) for row in rows] for name in names}


def _watched(run: Run) -> Iterator[_Part]:
    """One part without a sum for what no sum needs, then those with one. A leg's own price is in one row."""
    own: dict[tuple[str, str, int], _Row] = {}
    rest: list[_Row] = []
    for position in run.positions:
        if position.open and position.exit_reason is None:
            for quiet in quiet_ranges(run.strategy.leg(position.leg), position):
                row = _Row(
                    run.strategy.underlying if quiet.underlying else position.contract,
                    low=-inf if quiet.low is None else _wider(quiet.low, 1),
                    high=inf if quiet.high is None else _wider(quiet.high, -1),
                )
                if not quiet.underlying:
                    own[position.key] = row
                elif quiet.low is not None or quiet.high is not None:
                    rest.append(row)
    for quiet_sum in quiet_sums(run):
        rows = []
        for position in quiet_sum.positions:
            if position.open:
                row = own.pop(position.key) if position.key in own else _Row(position.contract)
                row.units = position.open * position.side.sign
                rows.append(row)
        known = [(each.exited_value - each.entered_value) * each.side.sign for each in quiet_sum.positions]
        bounds = [bound for bound in (quiet_sum.low, quiet_sum.high) if bound is not None]
        yield _Part(
            rows,
            known=float(sum(known)),
            low=-inf if quiet_sum.low is None else float(quiet_sum.low),
            high=inf if quiet_sum.high is None else float(quiet_sum.high),
            size=float(sum(map(abs, [*known, *bounds]))),
            units=sum(abs(row.units) for row in rows),
        )
    rest += [row for row in own.values() if row.low != -inf or row.high != inf]
    if rest:
        yield _Part(rest)


def _wider(level: Decimal, direction: int) -> float:
    """The level, moved by the margin to where a price reaches it earlier."""
    exact = float(level)
    return exact + direction * _OF_A_PRICE * (1 + abs(exact))


def _is_screened(run: Run, taught: "_Taught") -> bool:
    """The arrays have all that a check looks at."""
    strategy, exits = run.strategy, run.strategy.exits
    if exits.mtm is not Mtm.GROSS and exits.reads_mtm:
        return False
    if any(each.excess or (each.exit_reason is not None and not each.entry_final) for each in run.positions):
        return False
    if not all(leg.price in _PRICES_KNOWN for leg in strategy.legs):
        return False
    trails = [leg.trail for leg in strategy.legs if leg.trail is not None]
    rules: list[object] = [rule for leg in strategy.legs for rule in (leg.stop, leg.target)]
    rules += [*trails, *(distance for trail in trails for distance in (trail.every, trail.by))]
    rules += [exits.stop, exits.target, exits.lock]
    values = [run, strategy, exits, *strategy.legs, *run.positions, *(rule for rule in rules if rule is not None)]
    return all(map(taught.all_of, values))


class _Taught:
    """What the screen knows of each type of value."""

    def __init__(self, known: Mapping[type, str]) -> None:
        self._known = known
        self._others: dict[type, tuple[tuple[str, object], ...]] = {}

    def all_of(self, value: Any) -> bool:
        """Every field it was not taught is at its default, where there is nothing to know of it."""
        others = self._others.get(type(value))
        if others is None:
            known = self._known.get(type(value), "").split()
            others = tuple((each.name, _default(each)) for each in fields(value) if each.name not in known)
            self._others[type(value)] = others
        return all(getattr(value, name) == default for name, default in others)


def _default(of: Any) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()


# ---------------------------------------------------------------- prices


class _Things:
    """Contracts, and underlyings by their names, by numbers; those that no row uses are forgotten. Number 0 is none."""

    def __init__(self) -> None:
        self._numbers: dict[Contract | str, int] = {}
        self._names: list[Contract | str | None] = [None]
        self._uses = [1]
        self._free: list[int] = []

    def use(self, thing: Contract | str) -> int:
        number = self._numbers.get(thing)
        if number is None:
            if self._free:
                number = self._free.pop()
                self._names[number] = thing
            else:
                number = len(self._names)
                self._names.append(thing)
                self._uses.append(0)
            self._numbers[thing] = number
        self._uses[number] += 1
        return number

    def release(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            thing = self._names[number]
            assert thing is not None
            del self._numbers[thing]
            self._names[number] = None
            self._free.append(number)

    def prices(self, snapshot: Snapshot) -> tuple[Floats, Floats, Floats]:
        """By number the last price, not a number where unknown, and the low and high of the bar that ended now."""
        last, low, high = (np.full(len(self._names), value) for value in (nan, inf, -inf))
        last[0] = 0.0
        for thing, number in self._numbers.items():
            quote = snapshot.spot(thing) if isinstance(thing, str) else snapshot.quote(thing)
            if quote is None:
                continue
            last[number] = low[number] = high[number] = price = float(quote.last)
            if quote.bar is not None:
                inside = [float(each) for each in (quote.bar.low, quote.bar.high) if each is not None]
                low[number], high[number] = min([price, *inside]), max([price, *inside])
        return last, low, high
