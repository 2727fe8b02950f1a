"""A whole basket file: the basket, its accounts, its strategies and where their lots go."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from types import MappingProxyType

from option_baskets.adapters.basket_file.account import BrokerName, read_account
from option_baskets.adapters.basket_file.allocations import Around
from option_baskets.adapters.basket_file.basket import read_basket
from option_baskets.adapters.basket_file.dynamic import check_policies, read_policies
from option_baskets.adapters.basket_file.fields import Fields, shown
from option_baskets.adapters.basket_file.names import slug
from option_baskets.adapters.basket_file.together import read_together
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import MAX_STRATEGIES, Basket, BrokerAccount, Mode, Strategy

FORMAT = 1
_NO_MIS: Mapping[str, time] = MappingProxyType({})


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
    fields: Fields, underlyings: Collection[str] | None, latest_mis: Mapping[str, time] = _NO_MIS
) -> BasketFile:
    """The content of a file's outermost table; while its report has any problem the result must not be used."""
    fields.fixed("format", FORMAT, "is not a format this version reads")
    basket = _basket(fields)
    accounts = _accounts(fields, basket.mode)
    policies = read_policies(fields)
    around = Around(
        accounts=accounts,
        policies=tuple(policy.id for policy in policies),
        mode=basket.mode,
        underlyings=underlyings,
        latest_mis=latest_mis,
    )
    strategies: list[Strategy] = []
    allocations: list[Allocation] = []
    most = f"a basket has at most {MAX_STRATEGIES}. Move some to another file"
    for strategy_fields in fields.tables("strategies", "[[strategies]]", most=MAX_STRATEGIES, limit=most):
        name = strategy_fields.name("name", "0920 straddle")
        strategy_id = f"{basket.id}.{slug(name)}"
        twin = next((each.name for each in strategies if each.id == strategy_id), None)
        if name and twin is not None:
            strategy_fields.add("name", f"{shown(name)} is too like the earlier {shown(twin)}; give it another name")
        strategy, own = read_together(
            strategy_fields, strategy_id=strategy_id, basket_id=basket.id, name=name, around=around
        )
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
    return read_basket(table)


def _accounts(fields: Fields, mode: Mode) -> tuple[BrokerAccount, ...]:
    accounts: list[BrokerAccount] = []
    for table in fields.tables("accounts", "[[accounts]]"):
        account = read_account(table)
        if account.id and account.id in [each.id for each in accounts]:
            table.add("id", f"{shown(account.id)} is taken by an earlier account; give it another id")
        if mode is Mode.LIVE and account.broker == BrokerName.PAPER:
            way_out = 'set its broker, for example "zerodha", or write mode = "paper" in [basket]'
            table.add("broker", f"a live basket cannot trade on the paper account {shown(account.id)}; {way_out}")
        accounts.append(account)
    return tuple(accounts)
