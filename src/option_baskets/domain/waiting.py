"""Wait-and-trade and range breakouts: what is waited for from the entry minute on.

A move is measured from the price P known at the entry minute, with contracts fixed then. A range begins with the first
price after that minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.contract import Contract
from option_baskets.domain.entry_rules import Breakout, BreakSide, Move
from option_baskets.domain.errors import Refused
from option_baskets.domain.market import Snapshot
from option_baskets.domain.money import ZERO
from option_baskets.domain.pending import Cause, Pending, Trigger, Weighted
from option_baskets.domain.reasons import Reason
from option_baskets.domain.reference import is_fresh
from option_baskets.domain.resolve import Resolution, fresh_quote
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Lots of one leg on one account that are to be entered at the entry minute, or from then on waited for."""

    leg: str
    account: str
    lots: int

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.leg, self.account, 0)


def pendings_at_entry(
    run: Run, shares: Sequence[Share], resolution: Resolution, snapshot: Snapshot
) -> tuple[Pending, ...]:
    """Which of the shares wait instead of being entered now, and for what.

    ``resolution`` has the contracts of the shares' legs; none where the whole strategy waits for a break of the
    underlying, as they are chosen at the break. Legs that wait together, and a leg on all its accounts, wait for the
    very same.

    Raises:
        Refused: what a trigger measures from is not known, or a percentage of it is no move.
    """
    legs = [leg for leg in run.strategy.legs if _waits(run.strategy, leg)]
    awaited = {leg.id: _awaited(run, leg, resolution.contracts, snapshot) for leg in legs}
    return tuple(
        Pending(
            leg=share.leg,
            account=share.account,
            entry_number=0,
            side=run.strategy.leg(share.leg).side,
            lots=share.lots,
            cause=awaited[share.leg].cause,
            contract=resolution.contracts.get(share.leg),
            trigger=awaited[share.leg].trigger,
            detail=awaited[share.leg].detail,
        )
        for share in shares
        if share.leg in awaited
    )


def premium_weights(strategy: Strategy, contracts: Mapping[str, Contract]) -> tuple[Weighted, ...]:
    """The net premium of a unit of the strategy, sold less bought, so that a credit is positive: of its option legs,
    but for those that are not entered with it."""
    return tuple(
        Weighted(contract=contracts[leg.id], weight=-leg.side.sign * leg.ratio)
        for leg in strategy.legs
        if leg.type.is_option and not leg.lazy
    )


# ---------------------------------------------------------------- what is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    cause: Cause
    trigger: Trigger
    detail: str


def _waits(strategy: Strategy, leg: LegSpec) -> bool:
    rules = (strategy.wait, strategy.breakout, leg.wait, leg.breakout)
    return not leg.lazy and any(rule is not None for rule in rules)


def _awaited(run: Run, leg: LegSpec, contracts: Mapping[str, Contract], snapshot: Snapshot) -> _Awaited:
    strategy = run.strategy
    if strategy.breakout is not None:
        _require_spot(strategy, snapshot)
        return _break(run, strategy.breakout, Weighted(), strategy.underlying, snapshot)
    if strategy.wait is not None:
        return _move(strategy.wait, premium_weights(strategy, contracts), "the net premium", snapshot)
    contract = contracts[leg.id]
    if leg.breakout is not None:
        fresh_quote(contract, snapshot)
        return _break(run, leg.breakout, Weighted(contract=contract), contract.name, snapshot)
    assert leg.wait is not None
    return _move(leg.wait, (Weighted(contract=contract),), contract.name, snapshot)


def _move(move: Move, prices: tuple[Weighted, ...], what: str, snapshot: Snapshot) -> _Awaited:
    start = ZERO
    for each in prices:
        assert each.contract is not None
        start += fresh_quote(each.contract, snapshot).last * each.weight
    if move.percent is not None and not start:
        raise Refused(
            Reason.PREMIUM_BASE_UNCLEAR,
            f"{what} is 0 at {snapshot.at:%H:%M}, and {move.percent:f} % of it is no move to wait for; write points",
        )
    level = move.level(start)
    trigger = Trigger(
        prices=prices,
        since=snapshot.at,
        high=level if move.is_up else None,
        low=None if move.is_up else level,
    )
    direction = "or more" if move.is_up else "or less"
    detail = f"waits for {what} at {_price(level)} {direction}, from {_price(start)} at {_clock(snapshot.at)}"
    return _Awaited(cause=Cause.WAIT, trigger=trigger, detail=detail)


_SIDES = {BreakSide.HIGH: "above its high", BreakSide.LOW: "below its low"}


def _break(run: Run, rule: Breakout, price: Weighted, what: str, snapshot: Snapshot) -> _Awaited:
    until = datetime.combine(run.date, rule.until, IST)
    trigger = Trigger(
        prices=(price,),
        since=snapshot.at,
        recording=until,
        fires_high=rule.side is not BreakSide.LOW,
        fires_low=rule.side is not BreakSide.HIGH,
    )
    side = _SIDES.get(rule.side, "above its high or below its low")
    detail = f"waits for {what} {side} of {_clock(snapshot.at)} to {_clock(until)}"
    return _Awaited(cause=Cause.RANGE, trigger=trigger, detail=detail)


def _require_spot(strategy: Strategy, snapshot: Snapshot) -> None:
    if not is_fresh(snapshot.spot(strategy.underlying), snapshot):
        raise Refused(
            Reason.NO_REFERENCE_PRICE,
            f"{strategy.underlying} has no fresh spot price at {snapshot.at:%H:%M:%S}, of which its breakout is; "
            "a leg's breakout is of its own premium",
        )


def _price(value: Decimal) -> str:
    """With two decimals, or as many more, up to four, as it has."""
    text = f"{value:,.4f}"
    return text.removesuffix("0").removesuffix("0")


def _clock(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M}"
