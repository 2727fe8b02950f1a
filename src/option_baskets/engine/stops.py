"""The stop check: every rule of every open run, on one snapshot. It also finds exits that are due."""

from option_baskets.domain.events import Event
from option_baskets.domain.market import Snapshot
from option_baskets.domain.rules import Check, Close, step
from option_baskets.domain.run import Run, RunStatus, settled
from option_baskets.engine.exit import close
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write

_HELD = frozenset({RunStatus.ENTERING, RunStatus.ACTIVE, RunStatus.EXITING})


async def check_stops(trading: Trading, event: Event) -> None:
    """Handle ``CheckStopLoss``: step every run that may hold something."""
    snapshot = await trading.market.snapshot(event.at)
    for run in trading.runs.all():
        if run.status in _HELD:
            await check_run(trading, (run.user_id, run.id), snapshot)


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
        trading.start(close(trading, key, account), name=f"close {key[1]} on {account}")
