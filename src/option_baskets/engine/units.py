"""The units of a day by policies: fixed once, before the open, from the runs that closed on earlier days.

What was fixed stays for the day. Whoever comes later, after a late start or a restart, reads the same record.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal

from option_baskets.domain.allocation import Allocation, policy_of
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.domain.dynamic import DynamicPolicy, DynamicUnits, Member, Result, UnitsOfDay, divide, in_units
from option_baskets.domain.errors import Conflict, Halt
from option_baskets.domain.money import ZERO, rupees
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST, Session
from option_baskets.engine.accounts import meet
from option_baskets.engine.report import charges_of
from option_baskets.engine.trading import Trading

LOG = logging.getLogger(__name__)


async def fix_units(trading: Trading, session: Session) -> None:
    """Divide the units of every policy of every user for the session's day, where that has not been done."""
    if trading.units_fixed == session.date:
        return
    for user_id in sorted({user_id for user_id, _ in trading.desk.brokers}):
        for basket in await trading.books.baskets(user_id):
            for policy in basket.dynamic:
                try:
                    await units_of_day(trading, session, user_id, basket, policy)
                except Halt:
                    raise
                except Exception as error:  # nobody else's morning depends on it, and the claim tries again
                    LOG.exception("units of %s", policy.id)
                    await trading.failed(user_id, f"the division of units by {policy.id}", error)
    trading.units_fixed = session.date


async def units_of_day(
    trading: Trading, session: Session, user_id: str, basket: Basket, policy: DynamicPolicy
) -> UnitsOfDay:
    """The division of the session's day, which is worked out and stored by whoever asks first."""
    while True:
        last = await trading.books.units(user_id, basket.id, policy.id, session.date)
        if last is not None and last.date == session.date:
            return last
        members = await _members(trading, session, user_id, basket, policy, last)
        record = divide(policy, members, basket_id=basket.id, capital=basket.capital, on=session.date)
        try:
            await trading.books.commit(trading.books.put_units(user_id, record))
        except Conflict:  # another process was faster, and its record is the day's
            continue
        return record


async def units_today(
    trading: Trading, user_id: str, basket: Basket, strategy: Strategy, allocations: Collection[Allocation]
) -> DynamicUnits | None:
    """What its policy gives the strategy today; None: no allocation has one."""
    policy_id = policy_of(allocations)
    if policy_id is None:
        return None
    assert trading.session is not None
    policy = basket.policy(policy_id)
    if policy is None:
        why = "0 units: the basket has no such policy any more"
        return DynamicUnits(policy=policy_id, units=0, why=why)
    share = (await units_of_day(trading, trading.session, user_id, basket, policy)).share(strategy.id)
    if share is None:
        why = f"{in_units(policy.least)}, the least: it joined after the units of the day were fixed"
        return DynamicUnits(policy=policy_id, units=policy.least, why=why)
    return DynamicUnits(policy=policy_id, units=share.units, why=share.why)


async def _members(
    trading: Trading,
    session: Session,
    user_id: str,
    basket: Basket,
    policy: DynamicPolicy,
    last: UnitsOfDay | None,
) -> list[Member]:
    """The strategies that share the policy's total, by id, with what their closed runs made."""
    allocations = await trading.books.allocations(user_id)
    sharing = {each.strategy_id for each in allocations if each.dynamic == policy.id}
    members = []
    for strategy in await trading.books.strategies(user_id, basket.id):
        if strategy.id not in sharing:
            continue
        share = last.share(strategy.id) if last is not None else None
        midnight = datetime.combine(session.date, time.min, IST)
        runs = await trading.books.closed_runs(user_id, strategy.id, before=midnight, most=policy.look_back)
        known = {result.run_id: result for result in share.results} if share is not None else {}
        members.append(
            Member(
                strategy_id=strategy.id,
                name=strategy.name,
                results=await _results(trading, runs, known),
                before=share.units if share is not None else None,
            )
        )
    return members


async def _results(trading: Trading, runs: Sequence[Run], known: Mapping[str, Result]) -> tuple[Result, ...]:
    """What each run made; a run of the last record is not read again."""
    return tuple([known[run.id] if run.id in known else await result_of(trading, run) for run in runs])


async def result_of(trading: Trading, run: Run) -> Result:
    """A closed run's net profit in rupees. A charge without a known rate is not taken off, and named."""
    await meet(trading, run.user_id, dict.fromkeys(position.account for position in run.positions))
    accounts = {account: each for (user, account), each in trading.accounts.items() if user == run.user_id}
    orders = await trading.books.orders_of_run(run.user_id, run.id)
    net = sum((position.gross for position in run.positions), ZERO)
    unknown: set[str] = set()
    for charges in charges_of(trading.facts, accounts, orders, run.positions).values():
        for order in charges:
            net -= sum((amount for amount in order.components.values() if amount is not None), Decimal(0))
            unknown.update(order.unknown)
    return Result(run_id=run.id, net=rupees(net), unknown=tuple(sorted(unknown)))
