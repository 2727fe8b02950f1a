"""The stop check: every rule of every open run, on one snapshot. It also finds exits that are due."""

import logging

from option_baskets.domain.errors import Halt
from option_baskets.domain.events import Event
from option_baskets.domain.market import Snapshot
from option_baskets.domain.rules import Check, Close, step
from option_baskets.domain.run import Run, RunStatus, settled
from option_baskets.engine.exit import accounts_closing, close
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write

LOG = logging.getLogger(__name__)

_HELD = frozenset({RunStatus.ENTERING, RunStatus.ACTIVE, RunStatus.EXITING})


async def check_stops(trading: Trading, event: Event) -> None:
    """Handle ``CheckStopLoss``: step every run that may hold something.

    A run whose check fails keeps no other from its stops.
    """
    snapshot = await trading.market.snapshot(event.at)
    for run in trading.runs.all():
        if run.status not in _HELD:
            continue
        key = (run.user_id, run.id)
        try:
            _go_on_closing(trading, key)
            await check_run(trading, key, snapshot)
        except Halt:
            raise
        except Exception as error:  # whatever it is, the next run's stops are due too
            LOG.exception("stop check of %s", run.id)
            await trading.failed(run.user_id, f"the stop check of {run.id}", error, run_id=run.id)


async def check_run(trading: Trading, key: RunKey, snapshot: Snapshot) -> None:
    """Step one run and start closing what the rules decided to close."""
    check = Check(at=snapshot.at)
    if not step(trading.runs.get(key), check, snapshot)[1]:
        return
    decided: list[Close] = []

    def stepped(run: Run) -> tuple[Run, tuple[Write, ...]]:
        after, decisions = step(run, check, snapshot)
        decided.extend(decisions)
        return settled(after), ()

    await trading.runs.change(key, stepped)
    for account in dict.fromkeys(decision.position[1] for decision in decided):
        _start_closing(trading, key, account)


def _go_on_closing(trading: Trading, key: RunKey) -> None:
    """Close what is marked to be closed and nobody is closing: a fill that came late, a closer that failed."""
    for account in accounts_closing(trading, key):
        if not trading.exit_lock(key, account).locked():
            _start_closing(trading, key, account)


def _start_closing(trading: Trading, key: RunKey, account: str) -> None:
    trading.start(close(trading, key, account), name=f"close {key[1]} on {account}", user_id=key[0])
