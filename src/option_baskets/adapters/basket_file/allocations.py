"""Where a strategy's lots go, from tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from functools import partial

from option_baskets.adapters.basket_file.dynamic import check_one_policy
from option_baskets.adapters.basket_file.fields import Fields, one_of, shown
from option_baskets.adapters.basket_file.limits import read_allocation_limits
from option_baskets.domain.allocation import MAX_LOTS, Allocation
from option_baskets.domain.basket import BrokerAccount, Mode, Strategy

PAPER = "paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What there is beside a strategy: what its table and those of its allocations may name."""

    accounts: tuple[BrokerAccount, ...]
    policies: tuple[str, ...] = ()
    """Ids of the basket's policies."""
    mode: Mode = Mode.PAPER
    underlyings: Collection[str] | None = None
    """Names we have facts of; None checks no names."""
    latest_mis: Mapping[str, time]
    """The last time for an MIS exit, by broker; one that is not in it is not checked."""
    is_file: bool = True
    """All of a basket is read at once. Else it is what is stored, to which more may come: it need not be complete."""


def read_allocations(fields: Fields, strategy: Strategy, around: Around) -> dict[int, Allocation]:
    """The allocations by their index in the list."""
    found: dict[int, Allocation] = {}
    header = "[[strategies.allocations]]"
    for index, table in enumerate(fields.tables("allocations", header, required=around.is_file)):
        account = _account(table, around)
        if account and account in [each.account for each in found.values()]:
            table.add("account", f"{shown(account)} has an allocation of this strategy already; write one with the sum")
        lots = _lots(table, strategy, account, around)
        priority = table.integer("priority", index, index, most=999)
        twin = next((each.account for each in found.values() if each.priority == priority), None)
        if twin is not None and table.is_sound:
            table.add(
                "priority", f"{priority} is also that of {shown(twin)}; give each its own, or none and file order holds"
            )
        limits = read_allocation_limits(table)
        table.close()
        found[index] = replace(lots, priority=priority, limits=limits)
    if fields.is_sound:
        _check_base_units(fields, found, around)
        check_one_policy(fields, list(found.values()))
    return found


def _account(table: Fields, around: Around) -> str:
    account = table.text("account", "zerodha-1")
    known = {each.id: each for each in around.accounts}
    if account and account not in known:
        whose = "an account of this file" if around.is_file else "one of your broker accounts"
        add = "add it under [[accounts]]" if around.is_file else "add it first, by POST /broker-accounts"
        way_out = one_of(account, known) if known else add
        table.add("account", f"{shown(account)} is not the id of {whose}; {way_out}")
    elif account and not around.is_file and around.mode is Mode.LIVE and known[account].broker == PAPER:
        way_out = "name an account at a broker, or make the basket a paper basket"
        table.add("account", f"a live basket cannot trade on the paper account {shown(account)}; {way_out}")
    return account


def _check_base_units(fields: Fields, allocations: Mapping[int, Allocation], around: Around) -> None:
    """``units`` is written where something reads it, and all of it is split or none."""
    weighted = [index for index, each in allocations.items() if each.weight is not None]
    if weighted and len(weighted) < len(allocations):
        other = next(index for index in allocations if index not in weighted)
        fields.add(
            f"allocations[{other}]", "the others split the units by weight; give this one a weight too, or none of them"
        )
        return
    is_read = weighted or any(each.multiplier is not None for each in allocations.values())
    if around.is_file and fields.has("units") and not is_read:
        way_out = "remove it, or write multiplier = 1 or weight = 1 in an allocation"
        fields.add("units", f"no allocation reads it: each says its own lots; {way_out}")


def _lots(table: Fields, strategy: Strategy, account: str, around: Around) -> Allocation:
    """The allocation, but for its priority."""
    on_account = partial(Allocation, id=f"{strategy.id}.{account}", strategy_id=strategy.id, account=account)
    units = table.integer("lots", 2, 1, least=1, most=MAX_LOTS)
    lots_table = table.table("leg_lots", '{ "1" = 2 }', required=False)
    multiplier = table.decimal("multiplier", "1.5", Decimal(1), positive=True)
    weight = table.integer("weight", 2, 1, least=1, most=1000)
    policy = _policy(table, around)
    kinds = ("lots", "leg_lots", "multiplier", "weight", "dynamic")
    given = table.only_one(kinds, 'lots = 2 or leg_lots = { "1" = 2 }')
    largest = max((leg.ratio for leg in strategy.legs), default=1)
    match given:
        case "lots":
            _check_most(table, "lots", f"{units} lots", units, largest)
            return on_account(units=units)
        case "multiplier":
            exact = multiplier * strategy.units
            _check_most(table, "multiplier", f"{multiplier:f} x {strategy.units} units", exact, largest)
            if exact < 1:
                less = f"{multiplier:f} x {strategy.units} base units is {exact:f}, less than one whole unit"
                table.add("multiplier", f"{less}, and nothing would be traded; raise it, or units in the strategy")
            return on_account(multiplier=multiplier)
        case "weight":
            _check_most(table, "weight", f"{strategy.units} units", strategy.units, largest)
            return on_account(weight=weight)
        case "dynamic":
            return on_account(dynamic=policy)
        case "leg_lots" if lots_table is not None:
            return on_account(leg_lots=_leg_lots(lots_table, strategy))
        case _:
            return on_account(units=1)


def _policy(table: Fields, around: Around) -> str:
    policy = table.text("dynamic", "by-result", "")
    if policy and policy not in around.policies:
        whose, add = "this file", "add it under [[dynamic]]"
        if not around.is_file:
            whose, add = "the basket", "add it to dynamic of the basket first"
        way_out = one_of(policy, around.policies) if around.policies else add
        table.add("dynamic", f"{shown(policy)} is not the id of a policy of {whose}; {way_out}")
    return policy


def _check_most(table: Fields, key: str, what: str, units: int | Decimal, largest: int) -> None:
    if units * largest > MAX_LOTS:
        table.add(key, f"{what} at a ratio of {largest} are more than {MAX_LOTS} lots of one leg; write fewer")


def _leg_lots(table: Fields, strategy: Strategy) -> dict[str, int]:
    wanted = {leg: table.integer(leg, 1, 1, least=1, most=MAX_LOTS) for leg in _ids(strategy)}
    table.close(what="leg")
    leg_lots = {leg: lots for leg, lots in wanted.items() if table.has(leg)}
    if not leg_lots and table.is_sound:
        table.add("", 'names no leg; name at least one, for example leg_lots = { "1" = 2 }')
    return leg_lots


def _ids(strategy: Strategy) -> list[str]:
    return list(dict.fromkeys(leg.id for leg in strategy.legs))
