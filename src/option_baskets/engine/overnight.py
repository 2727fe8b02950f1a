"""From day to day: what a session takes over, what settles at its close, and what it hands on.

A run goes on until everything it opened is closed: in the same process, or in one that finds it in the store. Its exit
is planned anew every morning, by the calendar and the session as they are known then, and is never dropped.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from option_baskets.domain.due import carried_exit
from option_baskets.domain.instrument import redated
from option_baskets.domain.market import Snapshot
from option_baskets.domain.run import LegPosition, Run, RunStatus, with_settlement
from option_baskets.domain.settlement import Settlement, payoff
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write
from option_baskets.store.records import Alert, Level

LOG = logging.getLogger(__name__)

PRICED_WITHIN = timedelta(minutes=5)
"""After the open; what is held and has no price by then is told."""

FIRST_PRICES = timedelta(minutes=1)
"""After the open, when the first prices are known, an exit is made up whose own day nobody traded."""


async def take_over(trading: Trading) -> None:
    """At a session's beginning: settle what expired meanwhile, plan exits anew, and tell what is not listed."""
    session = trading.session
    assert session is not None
    await settle_expired(trading, session.starts)
    snapshot = await trading.market.snapshot(session.starts)
    for run in _carried(trading):
        key = (run.user_id, run.id)
        await _redate(trading, key, snapshot)
        await _plan_exit(trading, key)
        for position in _held(trading.runs.get(key)):
            if position.contract.expiry >= session.date and snapshot.listing(position.contract) is None:
                text = f"{_what(run, position)} is not listed today: it cannot be closed by its rules or its exit"
                await _tell(trading, run, position, "not_listed", text, session.starts)


def is_carrying(trading: Trading) -> bool:
    """Something of an earlier day is held, or waited for."""
    return bool(_carried(trading))


async def settle_expired(trading: Trading, at: datetime) -> None:
    """Settle every open position whose contract has stopped trading for good by ``at``.

    It is closed in cash at the final settlement price, without an order. Where that price is not known, or an order of
    the position is not final, it stays open and is told; the next session's beginning and close try again.
    """
    for run in trading.runs.all():
        for position in _held(run):
            if trading.last_trade(position.contract) <= at:
                await _settle(trading, run, position, at)


async def hand_on(trading: Trading) -> None:
    """At a session's close: keep in the history how every run that goes on stands. The first such record stays."""
    session = trading.session
    assert session is not None
    users = sorted({run.user_id for run in trading.runs.all()})
    kept = {(user, run.id) for user in users for run in await trading.books.carried_on(user, session.date)}
    for run in trading.runs.all():
        if run.status is not RunStatus.SCHEDULED and (run.user_id, run.id) not in kept:
            await trading.books.commit(trading.books.put_carried(run, session.date))


def _carried(trading: Trading) -> list[Run]:
    """Runs of earlier days that are not over."""
    today = trading.close_of_day().date()
    return [run for run in trading.runs.all() if run.date < today and run.status is not RunStatus.SCHEDULED]


def _held(run: Run) -> list[LegPosition]:
    return [position for position in run.positions if position.open]


# ---------------------------------------------------------------- the morning


async def _redate(trading: Trading, key: RunKey, snapshot: Snapshot) -> None:
    """Follow contracts to the expiry date the exchange gave them since; today's list has the last word."""
    session = trading.session
    assert session is not None
    run = trading.runs.get(key)
    moved: dict[tuple[str, str, int], LegPosition] = {}
    for position in _held(run):
        if snapshot.listing(position.contract) is None:
            contract = redated(trading.facts, position.contract, session.date)
            if contract != position.contract and snapshot.listing(contract) is not None:
                moved[position.key] = replace(position, contract=contract)
                text = f"{_what(run, position)} now expires on {contract.expiry:%d-%b-%Y}"
                await _tell(trading, run, position, "redated", text, session.starts, Level.WARNING)

    def followed(run: Run) -> tuple[Run, Sequence[Write]]:
        return replace(run, positions=tuple(moved.get(each.key, each) for each in run.positions)), ()

    if moved:
        await trading.runs.change(key, followed)


async def _plan_exit(trading: Trading, key: RunKey) -> None:
    """The run's exit by what is known this morning; one whose day is over is due with the first prices."""
    session, facts = trading.session, trading.facts
    assert session is not None
    run = trading.runs.get(key)
    held = [each for each in _held(run) if trading.last_trade(each.contract) > session.starts]
    if not held and not run.pending:
        return  # nothing but what waits for its settlement
    contracts = [*(each.contract for each in run.positions), *(each.contract for each in run.pending)]
    expiries = {contract.expiry for contract in contracts if contract is not None}
    planned = carried_exit(facts, run.strategy, run.date, expiries, session)
    exit_, note = planned or (session.open + FIRST_PRICES, "")
    if exit_ == run.exit_at:
        return
    was = f"{run.exit_at:%d-%b-%Y %H:%M}"
    if planned is None:
        code, note, level = "exit_missed", f"the exit at {was} was missed and is made up at the open", Level.CRITICAL
    else:
        code, note, level = "exit_moved", note or f"exit moved from {was} to {exit_:%d-%b-%Y %H:%M}", Level.WARNING
    detail = "; ".join(part for part in (run.detail, note) if part)
    await trading.runs.change(key, lambda run: (replace(run, exit_at=exit_, detail=detail), ()))
    await _tell(trading, run, None, code, f"{run.strategy.name}: {note}", session.starts, level)


async def tell_of_missing_prices(trading: Trading, at: datetime) -> None:
    """Tell, once, of everything carried into this session that the market shows no price of."""
    await trading.clock.sleep_until(at)
    snapshot = await trading.market.snapshot(at)
    for run in _carried(trading):
        for position in _held(run):
            if trading.last_trade(position.contract) > at and snapshot.quote(position.contract) is None:
                text = f"{_what(run, position)} has no price since the open: its rules wait for one"
                await _tell(trading, run, position, "no_quote", text, at)


# ---------------------------------------------------------------- the close


async def _settle(trading: Trading, run: Run, position: LegPosition, at: datetime) -> None:
    key = (run.user_id, run.id)
    contract = position.contract
    if any(not order.state.is_final for order in trading.desk.of_run(key) if order.intent.contract == contract):
        text = f"{_what(run, position)} has expired and is not settled: an order of it is not final"
        await _tell(trading, run, position, "not_settled", text, at)
        return
    index = await trading.market.settlement(contract.underlying, contract.expiry)
    if index is None:
        text = (
            f"{_what(run, position)} has expired and stays open: no final settlement price of {contract.underlying} "
            f"on {contract.expiry:%d-%b-%Y} is known"
        )
        await _tell(trading, run, position, "no_settlement_price", text, at)
        return

    def settled(run: Run) -> tuple[Run, Sequence[Write]]:
        quantity = run.position(position.key).open
        settlement = Settlement(index=index, price=payoff(contract, index), quantity=quantity, at=at)
        after = with_settlement(run, position.key, settlement)
        return after, [trading.books.put_settlement(after, after.position(position.key))]

    await trading.runs.change(key, settled)


def _what(run: Run, position: LegPosition) -> str:
    units = position.open * position.side.sign
    return f"{units:+d} {position.contract.name} of {run.strategy.name} on {position.account}"


async def _tell(
    trading: Trading,
    run: Run,
    position: LegPosition | None,
    code: str,
    message: str,
    at: datetime,
    level: Level = Level.CRITICAL,
) -> None:
    """Alert as of a fixed instant, so that a day begun again does not say it twice."""
    LOG.log(logging.CRITICAL if level is Level.CRITICAL else logging.WARNING, "%s", message)
    alert = Alert(
        user_id=run.user_id,
        at=at,
        code=code,
        message=message,
        level=level,
        strategy_id=run.strategy.id,
        run_id=run.id,
        account=position.account if position is not None else "",
        subject=position.contract.key if position is not None else "",
    )
    await trading.books.commit(trading.books.put_alert(alert))
