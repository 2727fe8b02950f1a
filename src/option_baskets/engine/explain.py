"""What a strategy does on a recorded day, and why: due or not, what it chose and what it nearly chose, its levels.

Facts only, no words: a command says them. When a rule fired is read from replays of the day, in which each rule of the
strategy stood alone (`only`), so that it is known of rules too that another one forestalled.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from option_baskets.domain.allocation import Allocation, lots_by_leg, slices
from option_baskets.domain.basket import Holding, LegSpec, Strategy, StrikeRule, Weekday
from option_baskets.domain.contract import Contract
from option_baskets.domain.due import Times, exit_day, is_due, own_times, times
from option_baskets.domain.dynamic import DynamicUnits
from option_baskets.domain.errors import Refused
from option_baskets.domain.exit_rules import StrategyExits
from option_baskets.domain.facts import Facts
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.levels import stop_level, target_level
from option_baskets.domain.market import Quote, Snapshot
from option_baskets.domain.mtm import whole_levels
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.reference import ReferencePrice, reference_price
from option_baskets.domain.resolve import Resolution, expiry_of, ranked_strikes, resolve
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import Session, trading_days_after
from option_baskets.engine.explain_limits import Sent, Size, sizes
from option_baskets.engine.explain_waits import Look, Waited, waited
from option_baskets.engine.valuation import Valuation

RUNNERS_UP = 2


class Rule(StrEnum):
    """A way out before the exit time."""

    STOP = "stop"
    TRAIL = "trail"
    TARGET = "target"
    STRATEGY_STOP = "strategy stop"
    STRATEGY_TARGET = "strategy target"
    LOCK = "lock"


_REASONS = {
    Rule.STOP: {ExitReason.STOP},
    Rule.TRAIL: {ExitReason.STOP, ExitReason.TRAIL},
    Rule.TARGET: {ExitReason.TARGET},
    Rule.STRATEGY_STOP: {ExitReason.STRATEGY_STOP},
    Rule.STRATEGY_TARGET: {ExitReason.STRATEGY_TARGET},
    Rule.LOCK: {ExitReason.LOCK},
}

_WHOLE = {Rule.STRATEGY_STOP: "stop", Rule.STRATEGY_TARGET: "target", Rule.LOCK: "lock"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOf:
    """One rule: of a leg, or with no leg of the whole strategy."""

    rule: Rule
    leg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Whether the day suits, and every condition of it by itself."""

    is_due: bool
    session: Session
    weekday_suits: bool
    """True on a special session: weekdays do not apply there."""
    expiry: date | None
    """The earliest of the legs by the contract list; None: there is none."""
    dte: int | None
    dte_suits: bool
    paused: bool
    times: Times
    in_session: bool
    """The entry lies inside trading hours."""
    holding_suits: bool
    """Positional: it is the day of entry."""
    refusal: Refused | None
    """Why it is skipped although the day suits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A contract with its known price in rupees per unit, and its delta where the leg is chosen by delta."""

    contract: Contract
    quote: Quote | None
    delta: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A leg's contract, and what would have been taken next, or for a strike at a distance its neighbours."""

    leg: LegSpec
    chosen: Candidate
    runners_up: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one account is sent of one leg. ``slices`` are units."""

    account: str
    leg: str
    lots: int
    slices: tuple[int, ...]

    @property
    def quantity(self) -> int:
        return sum(self.slices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A rule on one account (of a strategy rule: on all), and when it fired where it stood alone.

    ``price`` is the leg's own at which it fires at first, rupees per unit, None where it is no price of the leg;
    ``profit`` what is made there, rupees.
    """

    of: RuleOf
    account: str
    price: Decimal | None
    profit: Decimal | None
    fired: datetime | None
    fill: Decimal | None
    """At which the leg was closed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A strategy on a day. What depends on a choice is empty where ``refusal`` says why there was none."""

    strategy: Strategy
    allocations: tuple[Allocation, ...]
    """By priority."""
    due: Due
    reference: ReferencePrice | None
    spot: Quote | None
    refusal: Refused | None
    notes: tuple[str, ...]
    choices: tuple[Choice, ...]
    parts: tuple[Part, ...]
    levels: tuple[Level, ...]
    run: Run | None
    """The day as it was replayed with all rules; None: it was not claimed."""
    cycles: tuple[Run, ...]
    """The runs of that day in which the whole strategy was entered again."""
    dynamic: DynamicUnits | None
    """What its policy gave it that day."""
    chosen_at: datetime
    """When strikes were chosen: the entry, or the break a strategy waits for."""
    waits: tuple[Waited, ...]
    sizes: tuple[Size, ...] = ()
    """What the entry takes of limits of size."""


def rules_of(strategy: Strategy) -> Iterator[RuleOf]:
    """Every rule that can close something before the exit time; those of lazy legs never stand alone."""
    of_leg = ((Rule.STOP, "stop"), (Rule.TRAIL, "trail"), (Rule.TARGET, "target"))
    for leg in _entered(strategy):
        yield from (RuleOf(rule=rule, leg=leg.id) for rule, name in of_leg if getattr(leg, name) is not None)
    of_all = ((Rule.STRATEGY_STOP, "stop"), (Rule.STRATEGY_TARGET, "target"), (Rule.LOCK, "lock"))
    yield from (RuleOf(rule=rule) for rule, name in of_all if getattr(strategy.exits, name) is not None)


def only(strategy: Strategy, kept: RuleOf) -> Strategy:
    """The strategy with this rule and no other, which sets nothing off; a trail keeps the stop it moves."""
    exits = strategy.exits
    alone = StrategyExits(
        stop=exits.stop if kept.rule is Rule.STRATEGY_STOP else None,
        target=exits.target if kept.rule is Rule.STRATEGY_TARGET else None,
        lock=exits.lock if kept.rule is Rule.LOCK else None,
        mtm=exits.mtm,
        per=exits.per,
        premium_base=exits.premium_base,
    )
    legs = tuple(
        replace(
            leg,
            stop=leg.stop if kept.leg == leg.id and kept.rule in {Rule.STOP, Rule.TRAIL} else None,
            trail=leg.trail if kept.leg == leg.id and kept.rule is Rule.TRAIL else None,
            target=leg.target if kept.leg == leg.id and kept.rule is Rule.TARGET else None,
            on_stop=None,
            on_target=None,
        )
        for leg in strategy.legs
    )
    return replace(strategy, legs=legs, exits=alone, restart=None)


def _entered(strategy: Strategy) -> list[LegSpec]:
    """The legs that no other one has to wake."""
    return [leg for leg in strategy.legs if not leg.lazy]


def explain(
    strategy: Strategy,
    allocations: Collection[Allocation],
    valuation: Valuation,
    *,
    paused: bool,
    capital: Decimal,
    runs: Sequence[Run],
    dynamic: DynamicUnits | None = None,
    alone: Mapping[RuleOf, Run],
    look: Look,
) -> Explanation:
    """``valuation`` is of the instant ``chosen_at`` tells, ``look`` of any of that day; ``alone`` are the runs in which
    each rule stood alone."""
    snapshot, session = valuation.snapshot, valuation.session
    assert session is not None
    run = runs[0] if runs else None
    refusal: Refused | None = None
    choices: tuple[Choice, ...] = ()
    parts: tuple[Part, ...] = ()
    limited: tuple[Size, ...] = ()
    notes: tuple[str, ...] = ()
    waits: tuple[Waited, ...] = ()
    try:
        resolution = resolve(strategy, snapshot, valuation.delta, legs=[leg.id for leg in _entered(strategy)])
        choices, notes = tuple(_choices(strategy, resolution, valuation)), resolution.notes
        parts = tuple(_parts(strategy, allocations, resolution, snapshot))
        limited = tuple(sizes(allocations, tuple(_sent(choices, parts)), capital, valuation))
        waits = tuple(waited(strategy, run, resolution, look)) if run is not None else ()
    except Refused as refused:
        refusal = refused
    return Explanation(
        strategy=strategy,
        allocations=tuple(sorted(allocations, key=lambda each: (each.priority, each.id))),
        due=_due(strategy, session, valuation.facts, snapshot, paused=paused),
        reference=_reference(strategy, snapshot),
        spot=snapshot.spot(strategy.underlying),
        refusal=refusal,
        sizes=limited,
        notes=notes,
        choices=choices,
        parts=parts,
        levels=tuple(_levels(strategy, run, alone)) if run is not None else (),
        run=run,
        cycles=tuple(runs[1:]),
        dynamic=dynamic,
        chosen_at=snapshot.at,
        waits=waits,
    )


def held_until(strategy: Strategy, session: Session, facts: Facts, snapshot: Snapshot) -> date:
    """The day on which a run entered in the session is left, by the contract list of the snapshot."""
    try:
        expiries = [expiry_of(strategy, leg, snapshot) for leg in strategy.legs]
    except Refused:
        expiries = []
    return exit_day(facts, strategy, session.date, expiries)


def _due(strategy: Strategy, session: Session, facts: Facts, snapshot: Snapshot, *, paused: bool) -> Due:
    try:
        expiries = [expiry_of(strategy, leg, snapshot) for leg in strategy.legs]
    except Refused:
        expiries = []
    expiry = min(expiries, default=None)
    exchange = exchange_of(facts, strategy.underlying)

    def days_to(until: date) -> int:
        return trading_days_after(facts, session.date, until, exchange)

    dte = None if expiry is None else days_to(expiry)
    number = session.date.weekday()
    own_day = number < len(Weekday) and tuple(Weekday)[number] in strategy.schedule.days
    suits, refusal = is_due(strategy, session, expiry, days_to), None
    try:
        at = times(facts, strategy, session, expiries)
    except Refused as refused:
        at, refusal = own_times(strategy, session), refused
    holding = strategy.schedule.holding
    return Due(
        is_due=not paused and suits,
        session=session,
        weekday_suits=session.is_special or own_day,
        expiry=expiry,
        dte=dte,
        dte_suits=not strategy.schedule.dte or dte in strategy.schedule.dte,
        paused=paused,
        times=at,
        in_session=session.is_trading(at.entry),
        holding_suits=holding is not Holding.POSITIONAL or dte == strategy.schedule.enter_before,
        refusal=refusal if suits else None,
    )


def _reference(strategy: Strategy, snapshot: Snapshot) -> ReferencePrice | None:
    try:
        return reference_price(strategy, snapshot)
    except Refused:
        return None


def _sent(choices: Collection[Choice], parts: Collection[Part]) -> Iterator[Sent]:
    """What is entered at once, at known prices; what waits is asked about when it comes."""
    chosen = {choice.leg.id: choice for choice in choices}
    for part in parts:
        choice = chosen[part.leg]
        if choice.leg.wait is None and choice.leg.breakout is None and choice.chosen.quote is not None:
            yield Sent(
                account=part.account,
                contract=choice.chosen.contract,
                side=choice.leg.side,
                lots=part.lots,
                quantity=part.quantity,
                price=choice.chosen.quote.last,
            )


def _choices(strategy: Strategy, resolution: Resolution, valuation: Valuation) -> Iterator[Choice]:
    snapshot = valuation.snapshot
    legs = _entered(strategy)
    ranked = ranked_strikes(strategy, snapshot, valuation.delta, [leg.id for leg in legs])
    for leg in legs:
        contract = resolution.contracts[leg.id]
        by_delta = leg.strike is not None and leg.strike.rule is StrikeRule.DELTA

        def candidate(contract: Contract, by_delta: bool = by_delta) -> Candidate:
            delta = valuation.delta(contract) if by_delta else None
            return Candidate(contract=contract, quote=snapshot.quote(contract), delta=delta)

        others: Collection[Decimal] = ()
        if leg.id in ranked:
            others = ranked[leg.id][1 : RUNNERS_UP + 1]
        elif contract.strike is not None:
            others = _neighbours(snapshot.strikes(contract.underlying, contract.expiry), contract.strike)
        runners_up = tuple(candidate(replace(contract, strike=strike)) for strike in others)
        yield Choice(leg=leg, chosen=candidate(contract), runners_up=runners_up)


def _neighbours(strikes: Collection[Decimal], chosen: Decimal) -> tuple[Decimal, ...]:
    """The listed strikes next to the chosen one, one on each side where there is one."""
    below = max((strike for strike in strikes if strike < chosen), default=None)
    above = min((strike for strike in strikes if strike > chosen), default=None)
    return tuple(strike for strike in (below, above) if strike is not None)


def _parts(
    strategy: Strategy, allocations: Collection[Allocation], resolution: Resolution, snapshot: Snapshot
) -> Iterator[Part]:
    for allocation in sorted(allocations, key=lambda each: (each.priority, each.id)):
        for leg, lots in lots_by_leg(strategy, allocation, allocations).items():
            if strategy.leg(leg).lazy:
                continue
            listing = snapshot.listing(resolution.contracts[leg])
            assert listing is not None  # resolve() refuses what is not listed
            sliced = slices(lots, listing.lot_size, listing.freeze_quantity)
            yield Part(account=allocation.account, leg=leg, lots=lots, slices=sliced)


def _levels(strategy: Strategy, run: Run, alone: Mapping[RuleOf, Run]) -> Iterator[Level]:
    for of in rules_of(strategy):
        fired = [each for each in alone[of].positions if each.exit_reason in _REASONS[of.rule]] if of in alone else []
        if not of.leg:
            first = min((each.exit_time for each in fired if each.exit_time is not None), default=None)
            profits = {each.account: getattr(each, _WHOLE[of.rule]) for each in whole_levels(run)} or {"": None}
            for account, profit in profits.items():
                yield Level(of=of, account=account, price=None, profit=profit, fired=first, fill=None)
            continue
        for position in run.positions:
            if position.key == (of.leg, position.account, 0) and position.entered:
                twin = next((each for each in fired if each.key == position.key), None)
                yield _level(strategy.leg(of.leg), of, position, twin)


def _level(leg: LegSpec, of: RuleOf, position: LegPosition, fired: LegPosition | None) -> Level:
    entry = position.entry_price
    assert entry is not None
    price = (target_level if of.rule is Rule.TARGET else stop_level)(leg, position.side, entry)
    return Level(
        of=of,
        account=position.account,
        price=price,
        profit=None if price is None else (price - entry) * position.entered * position.side.sign,
        fired=fired.exit_time if fired is not None else None,
        fill=fired.exit_price if fired is not None else None,
    )
