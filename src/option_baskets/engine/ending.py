"""Ending an account's part of a run whatever its own rules say: a limit over many runs, a person, the kill switch."""

from collections.abc import Collection, Sequence

from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.rules import ExitDemanded, step
from option_baskets.domain.run import Run, RunStatus, settled
from option_baskets.engine.claims import refusal_of
from option_baskets.engine.exit import close
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.ports import Write


def accounts_standing(run: Run) -> list[str]:
    """Accounts on which something is held, worked on or waited for and is not being closed."""
    if run.status.is_over or run.status is RunStatus.SCHEDULED:
        return []
    held = [each.account for each in run.positions if each.exit_reason is None and (each.open or not each.entry_final)]
    return list(dict.fromkeys([*held, *(each.account for each in run.pending)]))


async def end_part(trading: Trading, key: RunKey, account: str, reason: ExitReason, snapshot: Snapshot) -> None:
    """Mark what the account's part holds or works on to be closed, drop what it waits for, and start closing it."""
    await mark_ended(trading, key, [account], reason, snapshot)
    trading.start(close(trading, key, account), name=f"close {key[1]} on {account}", user_id=key[0])


async def mark_ended(
    trading: Trading, key: RunKey, accounts: Collection[str], reason: ExitReason, snapshot: Snapshot
) -> None:
    """As ``end_part`` on these accounts, without closing: an entry that is being journaled is waited for and marked."""

    def demanded(run: Run) -> tuple[Run, Sequence[Write]]:
        after = run
        for account in accounts_standing(run):
            if account in accounts:
                after = step(after, ExitDemanded(at=snapshot.at, reason=reason, account=account), snapshot)[0]
        after = run if after is run else settled(after)
        if after.status is RunStatus.SKIPPED:  # all it did was wait
            return after, [trading.books.put_refusal(refusal_of(after, snapshot.at))]
        return after, ()

    await trading.runs.change(key, demanded, snapshot)
