"""The stop check: the rules of all open runs, on one snapshot. It also finds exits that are due."""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal

from option_baskets.domain.errors import Halt
from option_baskets.domain.events import Event
from option_baskets.domain.exit_rules import Mtm
from option_baskets.domain.frozen_spot import ReadableSnapshot, reads_underlying
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import Check, Close, ExitDemanded, step
from option_baskets.domain.run import Run, RunStatus, settled
from option_baskets.engine.accruals import accrued
from option_baskets.engine.blindness import check_blind
from option_baskets.engine.claims import refusal_of
from option_baskets.engine.exit import accounts_closing, close
from option_baskets.engine.kills import close_killed
from option_baskets.engine.later import start_entering
from option_baskets.engine.losses import check_losses
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write

LOG = logging.getLogger(__name__)


async def check_stops(trading: Trading, event: Event) -> None:
    """Handle ``CheckStopLoss``: step every run for which the screen cannot tell that nothing happens.

    A run whose check fails keeps no other from its stops.
    """
    snapshot = await trading.market.snapshot(event.at)
    await close_killed(trading, snapshot)
    await check_losses(trading, snapshot)
    await check_blind(trading, snapshot)
    for changed, now in trading.runs.changed():
        trading.screen.take_up(changed, now)
    for key in trading.screen.select(snapshot):
        run = trading.runs.get(key)
        try:
            await _alert_without_spot(trading, run, snapshot)
            go_on_closing(trading, key)
            start_entering(trading, key)
            await check_run(trading, key, snapshot)
        except Halt:
            raise
        except Exception as error:  # whatever it is, the next run's stops are due too
            LOG.exception("stop check of %s", run.id)
            await trading.failed(run.user_id, f"the stop check of {run.id}", error, run_id=run.id)


async def check_run(trading: Trading, key: RunKey, snapshot: Snapshot) -> None:
    """Step one run, keep what has changed in it, and start what the rules decided: closing, then entering.

    In a halt no price is one to decide by; only the clock goes on, and what it closes is held until the market reopens.
    """
    run = trading.runs.get(key)
    check: Check | ExitDemanded = Check(at=snapshot.at, charges=await _charges(trading, run))
    halt = trading.halt_at(snapshot.at)
    if halt is not None and snapshot.at > halt.open:
        if snapshot.at < run.exit_at:
            return
        check = ExitDemanded(at=snapshot.at, reason=ExitReason.TIME)
    if step(run, check, snapshot)[0] is run:
        return
    decided: list[Close] = []

    def stepped(run: Run) -> tuple[Run, Sequence[Write]]:
        after, decisions = step(run, check, snapshot)
        decided.extend(decision for decision in decisions if isinstance(decision, Close))
        after = settled(after)
        if after.status is RunStatus.SKIPPED:
            return after, [trading.books.put_refusal(refusal_of(after, snapshot.at))]
        return after, ()

    await trading.runs.change(key, stepped, snapshot)
    for account in dict.fromkeys(decision.position[1] for decision in decided):
        _start_closing(trading, key, account)
    start_entering(trading, key)


async def _charges(trading: Trading, run: Run) -> Mapping[str, Decimal]:
    """Rupees by account, where the run's rules read net profit."""
    return await accrued(trading, run) if run.strategy.exits.mtm is Mtm.NET else {}


async def _alert_without_spot(trading: Trading, run: Run, snapshot: Snapshot) -> None:
    """Say once that rules on the underlying cannot be judged: the index stands still and there is no synthetic."""
    underlying = run.strategy.underlying
    if not isinstance(snapshot, ReadableSnapshot) or not reads_underlying(run) or snapshot.spot(underlying) is not None:
        return
    subject = f"spot of {underlying} on {run.date}"
    said = ((run.user_id, ""), subject)
    if said not in trading.alerted:
        trading.alerted.add(said)
        message = (
            f"{underlying} stands still in the closing auction and has no fresh synthetic at {snapshot.at:%H:%M}: "
            f"rules on the underlying are not judged, e.g. of {run.strategy.name}"
        )
        await trading.alert(
            run.user_id, "spot_frozen", message, strategy_id=run.strategy.id, run_id=run.id, subject=subject
        )


def go_on_closing(trading: Trading, key: RunKey) -> None:
    """Close what is marked to be closed and nobody is closing: a fill that came late, a closer that failed."""
    for account in accounts_closing(trading, key):
        if not trading.exit_lock(key, account).locked():
            _start_closing(trading, key, account)


def _start_closing(trading: Trading, key: RunKey, account: str) -> None:
    trading.start(close(trading, key, account), name=f"close {key[1]} on {account}", user_id=key[0])
