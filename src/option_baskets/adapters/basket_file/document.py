"""A whole basket file: the basket, its accounts, its strategies and where their lots go."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from enum import StrEnum
from functools import partial
from types import MappingProxyType

from option_baskets.adapters.basket_file.dynamic import check_one_policy, check_policies, read_policies
from option_baskets.adapters.basket_file.fields import Fields, one_of, shown
from option_baskets.adapters.basket_file.holding import check_product
from option_baskets.adapters.basket_file.limits import check_limits, read_allocation_limits
from option_baskets.adapters.basket_file.names import slug
from option_baskets.adapters.basket_file.plan import read_strategy
from option_baskets.domain.allocation import MAX_LOTS, Allocation
from option_baskets.domain.basket import MAX_STRATEGIES, Basket, BrokerAccount, Mode, Strategy
from option_baskets.domain.cover import closes_alone, lost_cover
from option_baskets.domain.exposure import Through, exposures
from option_baskets.domain.money import HUNDRED

FORMAT = 1


class BrokerName(StrEnum):
    PAPER = "paper"
    ZERODHA = "zerodha"
    ANGELONE = "angelone"
    SHOONYA = "shoonya"


class ChargesAs(StrEnum):
    ZERODHA = "zerodha"
    ANGELONE = "angelone"
    SHOONYA = "shoonya"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketFile:
    """What one file says. Ids come from names: loading the file again gives the same ids."""

    basket: Basket
    accounts: tuple[BrokerAccount, ...]
    strategies: tuple[Strategy, ...]
    allocations: tuple[Allocation, ...]
    """Grouped by strategy in file order, and by priority within a strategy."""

    def of(self, strategy: Strategy) -> tuple[Allocation, ...]:
        """The strategy's allocations by priority."""
        return tuple(each for each in self.allocations if each.strategy_id == strategy.id)


def read_document(
    fields: Fields, underlyings: Collection[str] | None, latest_mis: Mapping[str, time] = MappingProxyType({})
) -> BasketFile:
    """The content of a file's outermost table; while its report has any problem the result must not be used."""
    fields.fixed("format", FORMAT, "is not a format this version reads")
    basket = _basket(fields)
    accounts = _accounts(fields, basket.mode)
    known = [account.id for account in accounts]
    policies = read_policies(fields)
    strategies: list[Strategy] = []
    allocations: list[Allocation] = []
    most = f"a basket has at most {MAX_STRATEGIES}. Move some to another file"
    for strategy_fields in fields.tables("strategies", "[[strategies]]", most=MAX_STRATEGIES, limit=most):
        name = strategy_fields.name("name", "0920 straddle")
        strategy_id = f"{basket.id}.{slug(name)}"
        twin = next((each.name for each in strategies if each.id == strategy_id), None)
        if name and twin is not None:
            strategy_fields.add("name", f"{shown(name)} is too like the earlier {shown(twin)}; give it another name")
        strategy = read_strategy(
            strategy_fields, strategy_id=strategy_id, basket_id=basket.id, name=name, underlyings=underlyings
        )
        strategy = replace(strategy, units=strategy_fields.integer("units", 2, 1, least=1, most=MAX_LOTS))
        own = _allocations(strategy_fields, strategy, known, [policy.id for policy in policies])
        strategy_fields.close()
        if strategy_fields.is_sound:
            problems = [*_cover_problems(strategy, own)] or [*_exposure_problems(strategy, own.values())]
            for path, message in problems:
                strategy_fields.add(path, message)
            check_limits(strategy_fields, strategy, own)
            used = {each.account for each in own.values()}
            check_product(strategy_fields, strategy, [each for each in accounts if each.id in used], latest_mis)
        strategies.append(strategy)
        allocations += sorted(own.values(), key=lambda each: each.priority)
    fields.close()
    if fields.is_sound:
        check_policies(fields, policies, strategies, allocations)
    basket = replace(basket, dynamic=policies)
    return BasketFile(basket=basket, accounts=accounts, strategies=tuple(strategies), allocations=tuple(allocations))


def _basket(fields: Fields) -> Basket:
    table = fields.table("basket", '{ name = "Conservative Income", capital = 500000 }')
    if table is None:
        return Basket(id="", name="", capital=Decimal(1))
    name = table.name("name", "Conservative Income")
    basket = Basket(
        id=slug(name),
        name=name,
        capital=table.decimal("capital", "500000", positive=True, decimals=2),
        mode=table.choice("mode", Mode, Mode.PAPER, Mode.PAPER),
        paused=table.flag("paused"),
        max_daily_loss=table.optional("max_daily_loss", "10000", decimals=2),
        max_drawdown_percent=table.optional("max_drawdown_percent", "15"),
    )
    if basket.max_drawdown_percent is not None and basket.max_drawdown_percent >= HUNDRED and table.is_sound:
        way_out = "write less than 100, for example max_drawdown_percent = 15"
        table.add("max_drawdown_percent", f"{basket.max_drawdown_percent:f} % of the capital is all of it; {way_out}")
    table.close()
    return basket


def _accounts(fields: Fields, mode: Mode) -> tuple[BrokerAccount, ...]:
    accounts: list[BrokerAccount] = []
    for table in fields.tables("accounts", "[[accounts]]"):
        account_id = table.identifier("id", "zerodha-1", most=40)
        if account_id and account_id in [each.id for each in accounts]:
            table.add("id", f"{shown(account_id)} is taken by an earlier account; give it another id")
        broker = table.choice("broker", BrokerName, BrokerName.PAPER, BrokerName.PAPER)
        if mode is Mode.LIVE and broker is BrokerName.PAPER:
            way_out = 'set its broker, for example "zerodha", or write mode = "paper" in [basket]'
            table.add("broker", f"a live basket cannot trade on the paper account {shown(account_id)}; {way_out}")
        own = ChargesAs.ZERODHA if broker is BrokerName.PAPER else ChargesAs(broker.value)
        charges_as = table.choice("charges_as", ChargesAs, own, own)
        if broker is not BrokerName.PAPER and charges_as is not own:
            table.add(
                "charges_as", f'"{charges_as}" on an account at "{broker}"; only paper accounts choose, remove it'
            )
        loss = table.optional("max_daily_loss", "20000", decimals=2)
        account = BrokerAccount(id=account_id, broker=broker.value, charges_as=charges_as.value, max_daily_loss=loss)
        accounts.append(account)
        table.close()
    return tuple(accounts)


def _allocations(
    fields: Fields, strategy: Strategy, accounts: Collection[str], policies: Collection[str]
) -> dict[int, Allocation]:
    """The allocations by their index in the file."""
    found: dict[int, Allocation] = {}
    for index, table in enumerate(fields.tables("allocations", "[[strategies.allocations]]")):
        account = table.text("account", "zerodha-1")
        if account and account not in accounts:
            way_out = one_of(account, accounts) if accounts else "add it under [[accounts]]"
            table.add("account", f"{shown(account)} is not the id of an account of this file; {way_out}")
        if account and account in [each.account for each in found.values()]:
            table.add("account", f"{shown(account)} has an allocation of this strategy already; write one with the sum")
        lots = _lots(table, strategy, account, policies)
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
        _check_base_units(fields, found)
        check_one_policy(fields, list(found.values()))
    return found


def _check_base_units(fields: Fields, allocations: Mapping[int, Allocation]) -> None:
    """``units`` is written where something reads it, and all of it is split or none."""
    weighted = [index for index, each in allocations.items() if each.weight is not None]
    if weighted and len(weighted) < len(allocations):
        other = next(index for index in allocations if index not in weighted)
        fields.add(
            f"allocations[{other}]", "the others split the units by weight; give this one a weight too, or none of them"
        )
    elif fields.has("units") and not weighted and all(each.multiplier is None for each in allocations.values()):
        way_out = "remove it, or write multiplier = 1 or weight = 1 in an allocation"
        fields.add("units", f"no allocation reads it: each says its own lots; {way_out}")


def _cover_problems(strategy: Strategy, allocations: Mapping[int, Allocation]) -> Iterator[tuple[str, str]]:
    """Path within the strategy's table, and message, of everything that leaves a short with less cover than planned."""
    for loss in lost_cover(strategy, allocations.values()):
        index = next(index for index, each in allocations.items() if each.account == loss.account)
        if loss.leg is None:
            yield f"allocations[{index}].leg_lots", f"{loss}; buy the cover too, or write naked = true in the strategy"
        else:
            leg = strategy.leg(loss.leg)
            path = f"legs[{strategy.legs.index(leg)}]"
            way_out = "remove it, or write naked = true in the strategy"
            for key in ("stop", "target"):
                if closes_alone(leg) and getattr(leg, key) is not None:
                    yield f"{path}.{key}", f"{loss}; {way_out}"
            for key in ("wait", "breakout"):
                if getattr(leg, key) is not None:
                    late = loss.through(f'entering leg "{leg.id}" later, if at all,')
                    yield f"{path}.{key}", f"{late}; {way_out}, or write it in the strategy for all legs together"


def _exposure_problems(strategy: Strategy, allocations: Collection[Allocation]) -> Iterator[tuple[str, str]]:
    """The same of legs that come again or are woken."""
    for exposure in exposures(strategy, allocations):
        path = f"legs[{[leg.id for leg in strategy.legs].index(exposure.leg)}]"
        key = exposure.rule if exposure.through is Through.CLOSE else f"on_{exposure.rule}.{exposure.through}"
        yield f"{path}.{key}", f"{exposure}; remove it, or write naked = true in the strategy"


def _lots(table: Fields, strategy: Strategy, account: str, policies: Collection[str]) -> Allocation:
    """The allocation, but for its priority."""
    on_account = partial(Allocation, id=f"{strategy.id}.{account}", strategy_id=strategy.id, account=account)
    units = table.integer("lots", 2, 1, least=1, most=MAX_LOTS)
    lots_table = table.table("leg_lots", '{ "1" = 2 }', required=False)
    multiplier = table.decimal("multiplier", "1.5", Decimal(1), positive=True)
    weight = table.integer("weight", 2, 1, least=1, most=1000)
    policy = table.text("dynamic", "by-result", "")
    if policy and policy not in policies:
        way_out = one_of(policy, policies) if policies else "add it under [[dynamic]]"
        table.add("dynamic", f"{shown(policy)} is not the id of a policy of this file; {way_out}")
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
