"""The option chain now, and what a strategy would make and risk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812  a field's name
from datetime import datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Annotated

from fastapi import APIRouter, Query, Response

from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.contract import ALWAYS, Answer, answers
from option_baskets.api.market_time import DAY_SCHEMA, FIRST, LAST, prices_now, today
from option_baskets.api.plan_store import found
from option_baskets.api.positions import GreeksView
from option_baskets.api.views_trading import ContractView
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import NotFound, Refused
from option_baskets.domain.money import rupees
from option_baskets.domain.reasons import Reason
from option_baskets.domain.session import IST
from option_baskets.engine.prospect import UNALLOCATED, Prospect, deviation_of, levels_of, prospect_of
from option_baskets.engine.valuation import ExpiryChain, Holding, Valuation
from option_baskets.pricing.chain import Wing
from option_baskets.pricing.payoff import (
    DAYS_A_YEAR,
    Leg,
    Position,
    at_expiry,
    break_evens,
    extremes,
    greeks,
    probability_of_profit,
    profit,
)

router = APIRouter(tags=["market"])

_LEVELS = 121


def _number(value: float, places: int) -> float | None:
    """Null where it is not known, or not bounded."""
    return round(value, places) if isfinite(value) else None


# ---------------------------------------------------------------- the chain


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionView:
    """One option. Null is not known: no price, or none that implies a volatility."""

    price: float | None
    """Rupees per unit, the last known."""
    is_stale: bool
    """The price is older than the feed's own interval."""
    volatility: float | None
    """A year; 0.14 is 14 %."""
    delta: float | None
    """Of the forward."""
    gamma: float | None
    theta: float | None
    """Rupees per unit and calendar day."""
    vega: float | None
    """Rupees per unit and volatility point."""
    open_interest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeView:
    strike: str
    """Index points."""
    call: OptionView
    put: OptionView


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    underlying: str
    expiry: Date
    as_of: datetime
    days: float
    """Calendar days until its contracts stop trading."""
    spot: Decimal | None
    forward: float | None
    """By put-call parity."""
    at_the_money: str
    """The strike nearest the forward."""
    volatility: float | None
    """At the forward."""
    straddle: float | None
    """Call and put at the money together, rupees per unit."""
    risk_reversal: float | None
    """The call's volatility less the put's, both at a delta of 0.25."""
    put_call_ratio: float | None
    max_pain: float | None
    expiries: tuple[Date, ...]
    """Those with options."""
    strikes: tuple[StrikeView, ...]
    """Ascending, around the money."""


def _option(chain: ExpiryChain, wing: Wing, at: int, type_: ContractType) -> OptionView:
    interest = None if wing.open_interest is None else float(wing.open_interest[at])
    return OptionView(
        price=_number(float(wing.price[at]), 2),
        is_stale=chain.contract(chain.strikes[at], type_) in chain.stale,
        volatility=_number(float(wing.volatility[at]), 6),
        delta=_number(float(wing.greeks.delta[at]), 6),
        gamma=_number(float(wing.greeks.gamma[at]), 8),
        theta=_number(float(wing.greeks.theta[at]), 4),
        vega=_number(float(wing.greeks.vega[at]), 4),
        open_interest=None if interest is None or not isfinite(interest) else int(interest),
    )


def _chain_view(valuation: Valuation, chain: ExpiryChain, around: int) -> ChainView:
    numbers = chain.numbers
    middle = numbers.at_the_money
    shown = range(max(0, middle - around), min(len(chain.strikes), middle + around + 1))
    return ChainView(
        underlying=chain.underlying,
        expiry=chain.expiry,
        as_of=chain.at.astimezone(IST),
        days=round(numbers.years * DAYS_A_YEAR, 4),
        spot=chain.spot,
        forward=_number(numbers.forward, 2),
        at_the_money=f"{chain.strikes[middle].normalize():f}",
        volatility=_number(numbers.volatility, 6),
        straddle=_number(numbers.straddle, 2),
        risk_reversal=_number(numbers.risk_reversal, 6),
        put_call_ratio=_number(numbers.put_call_ratio, 4),
        max_pain=_number(numbers.max_pain, 2),
        expiries=valuation.expiries(chain.underlying),
        strikes=tuple(
            StrikeView(
                strike=f"{chain.strikes[at].normalize():f}",
                call=_option(chain, numbers.calls, at, ContractType.CE),
                put=_option(chain, numbers.puts, at, ContractType.PE),
            )
            for at in shown
        ),
    )


_AT = datetime(2026, 11, 23, 10, 0, tzinfo=IST)
_CALL = OptionView(
    price=112.4,
    is_stale=False,
    volatility=0.1312,
    delta=0.5071,
    gamma=0.00091,
    theta=-14.2,
    vega=9.6,
    open_interest=None,
)
_CHAIN = ChainView(
    underlying="NIFTY",
    expiry=Date(2026, 11, 24),
    as_of=_AT,
    days=1.2326,
    spot=Decimal("26012.35"),
    forward=26015.4,
    at_the_money="26000",
    volatility=0.1318,
    straddle=211.3,
    risk_reversal=-0.0121,
    put_call_ratio=1.02,
    max_pain=26000.0,
    expiries=(Date(2026, 11, 24), Date(2026, 12, 1)),
    strikes=(StrikeView(strike="26000", call=_CALL, put=_CALL),),
)


@router.get(
    "/options/chain",
    summary="The option chain now",
    responses=answers(ChainView, example=_CHAIN, problems=("refused",)),
    response_model=None,
)
async def get_chain(
    asker: Asking,
    underlying: Annotated[str, Query(min_length=1, max_length=20, description="E.g. NIFTY.", examples=["NIFTY"])],
    expiry: Annotated[
        Date | None,
        Query(ge=FIRST, le=LAST, description="Default: the nearest.", json_schema_extra=DAY_SCHEMA),
    ] = None,
    strikes: Annotated[int, Query(ge=1, le=200, description="On each side of the money.")] = 20,
) -> Response:
    """Price, volatility and Greeks of every strike near the money (docs/chain-and-payoff.md)."""
    valuation = await _valued(asker)
    name = underlying.upper()
    expiries = valuation.expiries(name)
    if not expiries:
        raise NotFound(f"there are no options of {name} in this market now")
    return Answer(_chain_view(valuation, valuation.chain(name, expiry or expiries[0]), strikes))


async def _valued(asker: Asker) -> Valuation:
    """Raises Refused: the market has no prices now."""
    platform = asker.platform
    snapshot = await prices_now(platform)
    if snapshot is None:
        raise Refused(Reason.NO_QUOTE, "the market has no prices now; look at GET /options/calendar for its sessions")
    return Valuation(facts=platform.facts, snapshot=snapshot, session=platform.session())


# ---------------------------------------------------------------- a strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class LegProspectView:
    contract: ContractView
    side: Side
    lots: int
    units: int
    """Over all accounts; below 0: sold."""
    price: Decimal
    """Rupees per unit."""
    volatility: float | None
    greeks: GreeksView


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyGreeksView:
    """Rupees over all accounts, entered at the prices known now."""

    strategy_id: str
    as_of: datetime
    accounts: tuple[str, ...]
    """Empty: it has no allocations, and this is one unit of it."""
    greeks: GreeksView
    legs: tuple[LegProspectView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointView:
    level: float
    """Of the index."""
    expiry: float
    """Profit in rupees at the earliest expiry."""
    earlier: float
    """Profit in rupees ``days`` from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoffView:
    """Profits in rupees over all accounts, less the charges of entering and leaving."""

    strategy_id: str
    as_of: datetime
    accounts: tuple[str, ...]
    """Empty: it has no allocations, and this is one unit of it."""
    spot: float
    expiry: Date
    """The earliest of its legs, at which the payoff is."""
    premium: Decimal
    """Above 0: received."""
    charges: Decimal | None
    """Null: a rate is not known, and they are left out."""
    best: float | None
    """Null: unbounded."""
    worst: float | None
    """Null: unbounded."""
    break_evens: tuple[float, ...]
    probability: float | None
    """Of profit, were the index lognormal around the forward."""
    one_deviation: tuple[float, float] | None
    """Levels one standard deviation off the forward at expiry."""
    curve: tuple[PointView, ...]
    """Ascending; strikes and break-evens are among them."""
    legs: tuple[LegProspectView, ...]


def _greeks_view(position: Position) -> GreeksView:
    whole = greeks(position)
    return GreeksView(
        delta=round(whole.delta, 4), gamma=round(whole.gamma, 6), theta=round(whole.theta, 2), vega=round(whole.vega, 2)
    )


def _legs(prospect: Prospect, holdings: Sequence[Holding], position: Position) -> tuple[LegProspectView, ...]:
    return tuple(
        _leg_view(prospect, holding, leg, position) for holding, leg in zip(holdings, position.legs, strict=True)
    )


def _leg_view(prospect: Prospect, holding: Holding, leg: Leg, position: Position) -> LegProspectView:
    listing = prospect.valuation.snapshot.listing(holding.contract)
    assert listing is not None
    return LegProspectView(
        contract=ContractView.of(holding.contract),
        side=Side.BUY if holding.units > 0 else Side.SELL,
        lots=abs(holding.units) // listing.lot_size,
        units=holding.units,
        price=holding.price,
        volatility=_number(leg.volatility, 6),
        greeks=_greeks_view(Position(legs=(leg,), spot=position.spot, rate=position.rate)),
    )


def _accounts(prospect: Prospect) -> tuple[str, ...]:
    return tuple(account for account in prospect.by_account if account != UNALLOCATED)


async def _prospect(asker: Asker, strategy_id: str) -> Prospect:
    """Raises NotFound; Refused: it could not be entered now."""
    books, user_id = asker.books, asker.user_id
    plan = await found(books.plan(user_id, strategy_id), "strategy")
    allocations = await books.current_allocations(user_id, strategy_id)
    charges_as: Mapping[str, str] = {each.id: each.charges_as for each in await books.accounts(user_id)}
    valuation = await _valued(asker)
    units: int | None = None
    policy = next((plan.basket.policy(each.dynamic) for each in allocations if each.dynamic is not None), None)
    if policy is not None:
        divided = await books.units(user_id, plan.basket.id, policy.id, today(asker.platform))
        share = divided.share(strategy_id) if divided is not None else None
        units = share.units if share is not None else policy.least
    return prospect_of(plan.strategy, allocations, valuation, charges_as=charges_as, units=units)


_LEG = LegProspectView(
    contract=ContractView(
        underlying="NIFTY",
        expiry=Date(2026, 11, 24),
        type=ContractType.CE,
        strike="26000",
        name="NIFTY 24-Nov-2026 26000 CE",
    ),
    side=Side.SELL,
    lots=1,
    units=-65,
    price=Decimal("112.40"),
    volatility=0.1312,
    greeks=GreeksView(delta=-32.96, gamma=-0.0592, theta=923.0, vega=-624.0),
)


@router.get(
    "/options/strategies/{strategy_id}/greeks",
    summary="Greeks of a strategy, entered now",
    responses=answers(
        StrategyGreeksView,
        example=StrategyGreeksView(
            strategy_id="income.condor", as_of=_AT, accounts=("zerodha-1",), greeks=_LEG.greeks, legs=(_LEG,)
        ),
        problems=("refused",),
        always=ALWAYS,
    ),
    response_model=None,
)
async def get_strategy_greeks(asker: Asking, strategy_id: str) -> Response:
    """Of the strategy as it would be entered now on all its accounts. Those of what is open: GET /options/positions."""
    prospect = await _prospect(asker, strategy_id)
    position = prospect.position
    return Answer(
        StrategyGreeksView(
            strategy_id=strategy_id,
            as_of=prospect.valuation.snapshot.at.astimezone(IST),
            accounts=_accounts(prospect),
            greeks=_greeks_view(position),
            legs=_legs(prospect, prospect.holdings, position),
        )
    )


@router.get(
    "/options/strategies/{strategy_id}/payoff",
    summary="What a strategy would make and risk, entered now",
    responses=answers(
        PayoffView,
        example=PayoffView(
            strategy_id="income.condor",
            as_of=_AT,
            accounts=("zerodha-1",),
            spot=26012.35,
            expiry=Date(2026, 11, 24),
            premium=Decimal("3120.00"),
            charges=Decimal("214.60"),
            best=2905.4,
            worst=-10094.6,
            break_evens=(25755.3, 26244.7),
            probability=0.61,
            one_deviation=(25815.2, 26216.9),
            curve=(PointView(level=25755.3, expiry=0.0, earlier=410.2),),
            legs=(_LEG,),
        ),
        problems=("refused",),
    ),
    response_model=None,
)
async def get_strategy_payoff(
    asker: Asking,
    strategy_id: str,
    days: Annotated[float, Query(ge=0, le=3660, description="When the earlier curve is, in calendar days.")] = 0.0,
    volatility: Annotated[
        float, Query(ge=-50, le=200, description="Volatility points by which every volatility is moved for it.")
    ] = 0.0,
) -> Response:
    """Profit over the level of the index at the earliest expiry, and ``days`` from now (docs/chain-and-payoff.md).

    Days beyond the earliest expiry are taken as the expiry.
    """
    prospect = await _prospect(asker, strategy_id)
    position, holdings = prospect.position, prospect.holdings
    levels = levels_of(position, prospect.volatility, _LEVELS)
    after = min(timedelta(days=days) / timedelta(days=DAYS_A_YEAR), position.horizon)
    curves = zip(
        levels.tolist(),
        at_expiry(position, levels).tolist(),
        profit(position, levels, after=after, shift=volatility / 100).tolist(),
        strict=True,
    )
    best, worst = extremes(position)
    deviation = deviation_of(position, prospect.volatility)
    return Answer(
        PayoffView(
            strategy_id=strategy_id,
            as_of=prospect.valuation.snapshot.at.astimezone(IST),
            accounts=_accounts(prospect),
            spot=round(position.spot, 2),
            expiry=min(each.contract.expiry for each in holdings),
            premium=rupees(Decimal(repr(position.premium))),
            charges=None if prospect.charges is None else rupees(prospect.charges),
            best=_number(best, 2),
            worst=_number(worst, 2),
            break_evens=tuple(round(each, 2) for each in break_evens(position).tolist()),
            probability=_number(probability_of_profit(position, prospect.volatility), 4),
            one_deviation=None if deviation is None else (round(deviation[0], 2), round(deviation[1], 2)),
            curve=tuple(
                PointView(level=round(level, 2), expiry=round(expiry, 2), earlier=round(earlier, 2))
                for level, expiry, earlier in curves
            ),
            legs=_legs(prospect, holdings, position),
        )
    )
