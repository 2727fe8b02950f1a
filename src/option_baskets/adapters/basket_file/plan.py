"""Strategies and their legs, from tables."""

from collections.abc import Collection
from datetime import time
from decimal import Decimal

from option_baskets.adapters.basket_file.again import check_again, check_leg_again, read_again
from option_baskets.adapters.basket_file.exits import (
    check_leg_exits,
    check_strategy_exits,
    read_leg_exits,
    read_strategy_exits,
)
from option_baskets.adapters.basket_file.fields import Fields, one_of, shown
from option_baskets.adapters.basket_file.holding import check_holding, read_holding
from option_baskets.adapters.basket_file.restart import check_restart, read_restart
from option_baskets.adapters.basket_file.strike import read_strike
from option_baskets.adapters.basket_file.waits import check_waits, read_breakout, read_wait
from option_baskets.domain.basket import (
    MAX_LEGS,
    ExpiryRule,
    LegSpec,
    OnBlind,
    OnFailure,
    Product,
    Reference,
    Schedule,
    Series,
    Strategy,
    Strike,
    Weekday,
)
from option_baskets.domain.contract import ContractType, Side

EARLIEST = time(9, 15)
LATEST = time(15, 45)
"""The widest session of any date we know; the session of the day itself is checked when the day is known."""


def read_strategy(
    fields: Fields, *, strategy_id: str, basket_id: str, name: str, underlyings: Collection[str] | None
) -> Strategy:
    """The strategy of a table whose ``name`` has been read. Its ``allocations`` are left for the caller."""
    strategy = Strategy(
        id=strategy_id,
        basket_id=basket_id,
        name=name,
        underlying=_underlying(fields, underlyings),
        special_sessions=(special := fields.flag("special_sessions")),
        schedule=_schedule(fields, special_sessions=special),
        expiry=_expiry(fields, ExpiryRule()) or ExpiryRule(),
        reference=fields.choice("reference", Reference, Reference.SPOT, Reference.SPOT),
        naked=fields.flag("naked"),
        on_failure=fields.choice("on_failure", OnFailure, OnFailure.UNWIND, OnFailure.UNWIND),
        on_blind=fields.choice("on_blind", OnBlind, OnBlind.ALERT, OnBlind.ALERT),
        entry_grace_seconds=fields.integer("entry_grace_seconds", 60, 60, most=3600),
        slippage_limit_percent=_slippage_limit(fields),
        product=fields.choice("product", Product, Product.NRML, Product.NRML),
        settle=fields.flag("settle"),
        paused=fields.flag("paused"),
        exits=read_strategy_exits(fields),
        restart=read_restart(fields),
        wait=read_wait(fields),
        breakout=read_breakout(fields),
        reenter_until=fields.optional_clock("reenter_until", "14:30"),
        legs=_legs(fields),
    )
    check_holding(fields, strategy)
    check_strategy_exits(fields, strategy.exits, strategy.legs)
    check_restart(fields, strategy)
    check_waits(fields, strategy)
    check_again(fields, strategy)
    return strategy


def _underlying(fields: Fields, underlyings: Collection[str] | None) -> str:
    name = fields.text("underlying", "NIFTY")
    if name and underlyings is not None and name not in underlyings:
        fields.add("underlying", f"{shown(name)} is not an underlying with facts; {one_of(name, sorted(underlyings))}")
    return name


def _slippage_limit(fields: Fields) -> Decimal:
    percent = fields.decimal("slippage_limit_percent", "5", Decimal(5), positive=True)
    if percent > 100:
        fields.add("slippage_limit_percent", f"{percent} is over 100; it is a percentage of the price, for example 5")
    return percent


def _schedule(fields: Fields, *, special_sessions: bool) -> Schedule:
    entry, exit_ = fields.clock("entry", "09:20"), fields.clock("exit", "15:15")
    days, dte = _days(fields), _dte(fields)
    if not special_sessions:
        hours = f"{EARLIEST:%H:%M} to {LATEST:%H:%M}, 24-hour clock"
        for key, at in (("entry", entry), ("exit", exit_)):
            if fields.is_good(key) and not EARLIEST <= at <= LATEST:
                outside = f'"{at:%H:%M}" is outside trading hours ({hours})'
                fields.add(key, f"{outside}; move it or set special_sessions = true")
    return read_holding(fields, Schedule(entry=entry, exit=exit_, days=days, dte=dte))


def _days(fields: Fields) -> tuple[Weekday, ...]:
    days = [
        fields.member(f"days[{index}]", value, Weekday, Weekday.MON)
        for index, value in fields.elements("days", '["MON", "THU"]')
    ]
    if len(set(days)) < len(days) and fields.is_good("days"):
        fields.add("days", f"{shown([day.value for day in days])} names a day twice; name it once")
    return tuple(day for day in Weekday if day in days) or tuple(Weekday)


def _dte(fields: Fields) -> tuple[int, ...]:
    numbers = [
        fields.whole(f"dte[{index}]", value, 0, least=0, most=250) for index, value in fields.elements("dte", "[0, 1]")
    ]
    if len(set(numbers)) < len(numbers) and fields.is_good("dte"):
        fields.add("dte", f"{shown(numbers)} names a number twice; name it once")
    return tuple(sorted(numbers))


def _expiry(fields: Fields, default: ExpiryRule) -> ExpiryRule | None:
    table = fields.table("expiry", '{ series = "weekly", offset = 0 }', required=False)
    if table is None:
        return None
    rule = ExpiryRule(
        series=table.choice("series", Series, Series.WEEKLY, default.series),
        offset=table.integer("offset", 0, 0, most=12),
    )
    table.close()
    return rule


def _legs(fields: Fields) -> tuple[LegSpec, ...]:
    legs: list[LegSpec] = []
    most = f"a strategy has at most {MAX_LEGS}. Move some to another strategy"
    for position, leg_fields in enumerate(fields.tables("legs", "[[strategies.legs]]", most=MAX_LEGS, limit=most), 1):
        leg = _leg(leg_fields, str(position), [earlier.id for earlier in legs])
        legs.append(leg)
    by_id = {leg.id: leg for leg in legs}
    for index, leg in enumerate(legs):
        named = leg.strike.leg if leg.strike is not None else None
        if named in by_id and by_id[named].type is ContractType.FUT:
            fields.add(f"legs[{index}].strike.leg", f'"{named}" is a future and has no strike; name an option leg')
    return tuple(legs)


def _leg(fields: Fields, position: str, earlier: list[str]) -> LegSpec:
    leg_id = fields.identifier("id", "hedge", position, most=20)
    if leg_id in earlier:
        fields.add(
            "id" if fields.has("id") else "",
            f"leg id {shown(leg_id)} is taken by an earlier leg; give this leg another id",
        )
    side = fields.choice("side", Side, Side.SELL)
    type_ = fields.choice("type", ContractType, ContractType.CE)
    is_future = type_ is ContractType.FUT
    ratio = fields.integer("ratio", 1, 1, least=1, most=100)
    strike = _strike(fields, earlier, is_future=is_future)
    expiry = _expiry(fields, ExpiryRule(series=Series.MONTHLY) if is_future else ExpiryRule())
    exits = read_leg_exits(fields)
    leg = LegSpec(
        id=leg_id,
        side=side,
        type=type_,
        ratio=ratio,
        strike=strike,
        expiry=expiry,
        stop=exits.stop,
        target=exits.target,
        trail=exits.trail,
        price=exits.price,
        square_off=exits.square_off,
        wait=read_wait(fields),
        breakout=read_breakout(fields),
        lazy=fields.flag("lazy"),
        on_stop=read_again(fields, "on_stop"),
        on_target=read_again(fields, "on_target"),
    )
    fields.close()
    check_leg_exits(fields, leg)
    check_leg_again(fields, leg)
    return leg


def _strike(fields: Fields, earlier: list[str], *, is_future: bool) -> Strike | None:
    if is_future:
        fields.never("strike", 'a future has no strike; remove this key, or write type = "CE" or "PE"')
        return None
    table = fields.table("strike", '{ rule = "atm", offset = 0 }', required=fields.is_good("type"))
    return read_strike(table, earlier) if table is not None else None
