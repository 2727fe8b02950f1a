"""Sold legs traded blind: alarm, and exit where the strategy says so."""

from option_baskets.domain.basket import OnBlind
from option_baskets.domain.blind import silent_since, unseen
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import ExitDemanded, step
from option_baskets.domain.run import Run, settled
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.store.records import Level

_BLIND = "blind"


async def check_blind(trading: Trading, snapshot: Snapshot) -> None:
    """Look for sold legs whose feed is silent; each is told once, until its prices come again.

    What is to be left is marked so; the stop check that follows starts closing it. A halted market is silent for all.
    """
    after = trading.pace.blind_after
    if after is None or trading.halt_at(snapshot.at) is not None:
        return
    seen = set(trading.blind)
    trading.blind.clear()
    for run in trading.runs.all():
        key = (run.user_id, run.id)
        for position in unseen(run, snapshot, after):
            trading.blind.add((key, position.key))
            if (key, position.key) in seen:
                continue
            told = trading.told_at.get(((run.user_id, position.account), _BLIND, run.id, position.contract.key))
            if told is not None and told >= silent_since(position, snapshot):  # by a process before this one
                await _leave_if_asked(trading, run, position.account, snapshot)
                continue
            message = (
                f"{run.strategy.name} on {position.account} is short {position.open} {position.contract.name}, "
                f"and no price of it has come for {after.total_seconds():.0f} s"
            )
            await trading.alert(
                run.user_id,
                _BLIND,
                message,
                level=Level.CRITICAL,
                strategy_id=run.strategy.id,
                run_id=run.id,
                account=position.account,
                subject=position.contract.key,
            )
            await _leave_if_asked(trading, run, position.account, snapshot)


async def _leave_if_asked(trading: Trading, run: Run, account: str, snapshot: Snapshot) -> None:
    if run.strategy.on_blind is not OnBlind.EXIT:
        return
    key: RunKey = run.user_id, run.id
    demand = ExitDemanded(at=snapshot.at, reason=ExitReason.BLIND, account=account)
    await trading.runs.change(key, lambda run: (settled(step(run, demand, snapshot)[0]), ()))
