"""Domain values as the tables of a basket file: what the readers of this package take, and the JSON of the API.

A table holds text, whole numbers, Decimals, true and false, lists and tables, so it is JSON as it is. A key at its
default is left out, but for those one looks for. Reading a table gives an equal value again.
"""

from option_baskets.adapters.basket_file.document import FORMAT, BasketFile
from option_baskets.adapters.basket_file.leg_tables import (
    Table,
    breakout_table,
    expiry_table,
    leg_table,
    move_table,
    unless,
    written,
)
from option_baskets.domain.allocation import Allocation, AllocationLimits
from option_baskets.domain.basket import (
    Basket,
    BrokerAccount,
    ExpiryRule,
    Holding,
    OnBlind,
    OnFailure,
    Product,
    Reference,
    Schedule,
    Strategy,
    Weekday,
)
from option_baskets.domain.dynamic import DynamicPolicy
from option_baskets.domain.entry_rules import Restart
from option_baskets.domain.exit_rules import Amount, Lock, Mtm, Per, PremiumBase, StrategyExits

__all__ = ["Table", "allocation_table", "basket_table", "document_table", "leg_table", "strategy_table"]


def document_table(file: BasketFile) -> Table:
    """A whole file."""
    strategies = []
    for strategy in file.strategies:
        table = strategy_table(strategy)
        if all(each.multiplier is None and each.weight is None for each in file.of(strategy)):
            del table["units"]  # nothing reads them, and a file then does not say them
        strategies.append(table | {"allocations": [allocation_table(each) for each in file.of(strategy)]})
    basket = basket_table(file.basket)
    policies = {"dynamic": basket.pop("dynamic")} if "dynamic" in basket else {}
    accounts = [_account(each) for each in file.accounts]
    return {"format": FORMAT, "basket": basket, "accounts": accounts, **policies, "strategies": strategies}


def basket_table(basket: Basket) -> Table:
    """``[basket]``, with the policies, which in a file stand at its top, as ``dynamic``."""
    return written(
        name=basket.name,
        capital=basket.capital,
        mode=basket.mode,
        paused=basket.paused,
        max_daily_loss=basket.max_daily_loss,
        max_drawdown_percent=basket.max_drawdown_percent,
        dynamic=unless([_policy(each) for each in basket.dynamic], []),
    )


def strategy_table(strategy: Strategy) -> Table:
    """``[[strategies]]`` without its allocations."""
    return written(
        name=strategy.name,
        underlying=strategy.underlying,
        **_schedule(strategy.schedule),
        units=strategy.units,
        expiry=expiry_table(unless(strategy.expiry, ExpiryRule())),
        reference=unless(strategy.reference, Reference.SPOT),
        naked=unless(strategy.naked, False),
        special_sessions=unless(strategy.special_sessions, False),
        on_failure=unless(strategy.on_failure, OnFailure.UNWIND),
        on_blind=unless(strategy.on_blind, OnBlind.ALERT),
        entry_grace_seconds=unless(strategy.entry_grace_seconds, 60),
        slippage_limit_percent=unless(strategy.slippage_limit_percent, 5),
        product=unless(strategy.product, Product.NRML),
        settle=unless(strategy.settle, False),
        paused=strategy.paused,
        **_exits(strategy.exits),
        wait=move_table(strategy.wait),
        breakout=breakout_table(strategy.breakout),
        reenter_until=strategy.reenter_until,
        restart=_restart(strategy.restart),
        legs=[leg_table(leg) for leg in strategy.legs],
    )


def allocation_table(allocation: Allocation) -> Table:
    """``[[strategies.allocations]]``."""
    return written(
        account=allocation.account,
        lots=allocation.units,
        leg_lots=allocation.leg_lots,
        multiplier=allocation.multiplier,
        weight=allocation.weight,
        dynamic=allocation.dynamic,
        priority=allocation.priority,
        limits=_limits(allocation.limits) or None,
    )


def _account(account: BrokerAccount) -> Table:
    return written(
        id=account.id, broker=account.broker, charges_as=account.charges_as, max_daily_loss=account.max_daily_loss
    )


def _policy(policy: DynamicPolicy) -> Table:
    return written(
        id=policy.id,
        total=policy.total,
        score=policy.score,
        look_back=policy.look_back,
        least=policy.least,
        most=policy.most,
        max_step=policy.max_step,
        max_drawdown_percent=policy.max_drawdown_percent,
    )


def _schedule(schedule: Schedule) -> Table:
    return written(
        entry=schedule.entry,
        exit=schedule.exit,
        days=unless(schedule.days, tuple(Weekday)),
        dte=unless(schedule.dte, ()),
        holding=unless(schedule.holding, Holding.INTRADAY),
        enter_before=schedule.enter_before,
        exit_before=schedule.exit_before,
    )


def _exits(exits: StrategyExits) -> Table:
    return written(
        stop=_amount(exits.stop),
        target=_amount(exits.target),
        lock=_lock(exits.lock),
        mtm=unless(exits.mtm, Mtm.GROSS),
        per=unless(exits.per, Per.RUN),
        premium_base=unless(exits.premium_base, PremiumBase.AUTO),
        move_stop_to_cost=unless(exits.move_stop_to_cost, False),
    )


def _amount(amount: Amount | None) -> Table | None:
    return None if amount is None else written(rupees=amount.rupees, premium_percent=amount.premium_percent)


def _lock(lock: Lock | None) -> Table | None:
    if lock is None:
        return None
    trail = written(every=lock.every, by=lock.by) or None
    return written(at=lock.at, keep=lock.keep, trail=trail)


def _restart(restart: Restart | None) -> Table | None:
    return None if restart is None else written(on_stop=restart.on_stop, on_target=restart.on_target)


def _limits(limits: AllocationLimits) -> Table:
    return written(
        max_daily_loss=limits.max_daily_loss,
        max_daily_trades=limits.max_daily_trades,
        max_position_value=limits.max_position_value,
        max_margin_percent=limits.max_margin_percent,
        max_lots=limits.max_lots,
    )
