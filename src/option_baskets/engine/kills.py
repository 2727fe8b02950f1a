"""The kill switch at work: entries refused, working orders cancelled, what is held exited, until all of it is flat.

A switch is in the store before anything is done for it, and whoever throws it, in this process or another, only writes
it: the engine looks every second and at every stop check, and carries out all that stands. So a process that dies in
between leaves nothing undone, and the fence stands until somebody re-arms.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from option_baskets.domain.errors import Halt
from option_baskets.domain.kill import Kill, Killed
from option_baskets.domain.market import Snapshot
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import Run, RunStatus
from option_baskets.engine.accounts import follow_edits
from option_baskets.engine.ending import accounts_standing, mark_ended
from option_baskets.engine.exit import accounts_ending, close
from option_baskets.engine.runs import RunKey
from option_baskets.engine.trading import Trading
from option_baskets.store.records import ENGINE, Alert, Leave, Level

LOG = logging.getLogger(__name__)


async def kill(trading: Trading, user_id: str, subject: Killed, *, actor: str = ENGINE, reason: str = "") -> Kill:
    """Throw a switch and take it up at once. Returns when all it covers is marked to be closed; closing goes on.

    Raises:
        Unavailable: the store cannot be written; nothing is done.
    """
    thrown = await trading.books.save_kill(
        Kill(user_id=user_id, subject=subject, at=trading.clock.now(), actor=actor, reason=reason)
    )
    await look(trading)
    return trading.guard.kills.get((user_id, subject), thrown)


async def arm(trading: Trading, user_id: str, subject: Killed, *, actor: str = ENGINE, reason: str = "") -> None:
    """Take a fence away: entries are let through again from now on. What is not thrown is left as it is."""
    thrown = trading.guard.kills.get((user_id, subject))
    if thrown is not None:
        await trading.books.delete_kill(thrown, at=trading.clock.now(), actor=actor, reason=reason)
        await look(trading)


async def leave(trading: Trading, user_id: str, strategy_id: str, *, actor: str = ENGINE, reason: str = "") -> None:
    """Close the open runs of a strategy now, by hand; they are not entered again, and nothing else is fenced."""
    asked = Leave(user_id=user_id, strategy_id=strategy_id, at=trading.clock.now(), actor=actor, reason=reason)
    await trading.books.save_leave(asked)
    await look(trading)


async def watch(trading: Trading, every: timedelta) -> None:
    """Look at the switches again and again; a store that does not answer is asked the next time."""
    while True:
        await trading.clock.pause(every)
        try:
            await look(trading)
        except Halt:
            raise
        except Exception as error:  # whatever it is, the next look may succeed
            LOG.warning("the kill switches cannot be looked at: %s: %s", type(error).__name__, error)


async def look(trading: Trading) -> None:
    """Read what is thrown, take up what is new, and see to it that whatever is killed is being closed."""
    kills, leaves, edits = await trading.books.kills()
    await _take_up(trading, kills)
    if kills or leaves:
        snapshot = await trading.market.snapshot(trading.clock.now())
        await close_killed(trading, snapshot)
        for each in leaves:
            await _leave(trading, each, snapshot)
    await follow_edits(trading, edits)


async def take_up(trading: Trading) -> None:
    """At the beginning of a day: know what is thrown, and mark what it covers, before anything is entered or sent."""
    trading.guard.kills.clear()
    kills, _, edits = await trading.books.kills()
    await follow_edits(trading, edits)
    await _take_up(trading, kills)
    if kills:
        await _mark_killed(trading, await trading.market.snapshot(trading.clock.now()))


async def close_killed(trading: Trading, snapshot: Snapshot) -> None:
    """Mark whatever stands behind a fence, and have it closed; nothing where nothing is thrown."""
    if trading.guard.kills:
        for run in await _mark_killed(trading, snapshot):
            _see_closed(trading, (run.user_id, run.id))


# ---------------------------------------------------------------- what is thrown


async def _take_up(trading: Trading, kills: Sequence[Kill]) -> None:
    """Hold the switches as the store has them; what is new is acknowledged there, and told."""
    held = trading.guard.kills
    found = {(kill.user_id, kill.subject): kill for kill in kills}
    new = [kill for kill in kills if kill.seen_at is None]
    released = [kill for key, kill in held.items() if key not in found]
    trading.guard.kills = found  # from here on nothing is entered
    for kill in released:
        LOG.warning("%s is armed again", kill.what)
    for kill in new:
        await _acknowledge(trading, kill)


async def _acknowledge(trading: Trading, kill: Kill) -> None:
    now = trading.clock.now()
    alert = Alert(
        user_id=kill.user_id,
        at=now,
        code="killed",
        message=f"{kill.told}; it is closed, and nothing is entered there until it is armed again",
        level=Level.CRITICAL,
        subject=kill.what,
    )
    write, seen = trading.books.put_seen(kill, now)
    trading.guard.kills[kill.user_id, kill.subject] = seen
    LOG.critical("%s", alert.message)
    try:
        await trading.books.commit(write, trading.books.put_alert(alert))
    except Halt:
        raise
    except Exception as error:  # thrown again or released meanwhile, or a store that is full: closing goes on
        LOG.warning("that %s was taken up is not written: %s", kill.what, error)
        trading.guard.kills[kill.user_id, kill.subject] = replace(seen, version=kill.version)


# ---------------------------------------------------------------- what it covers


async def _mark_killed(trading: Trading, snapshot: Snapshot) -> list[Run]:
    """Mark what stands behind a fence in every run, each by itself; the runs of which something is killed."""
    covered = [(run, accounts) for run in trading.runs.all() if (accounts := _killed_accounts(trading, run))]
    marking = (
        mark_ended(trading, (run.user_id, run.id), accounts, ExitReason.KILL, snapshot) for run, accounts in covered
    )
    for (run, _), error in zip(covered, await asyncio.gather(*marking, return_exceptions=True), strict=True):
        if isinstance(error, Halt) or (error is not None and not isinstance(error, Exception)):
            raise error
        if error is not None:  # one run that cannot be marked now keeps no other from being closed
            LOG.error("killing %s", run.id, exc_info=error)
            said = ((run.user_id, ""), f"killing {run.id}")
            if said not in trading.alerted:
                trading.alerted.add(said)
                await trading.failed(run.user_id, f"killing {run.id}", error, run_id=run.id)
    return [trading.runs.get((run.user_id, run.id)) for run, _ in covered]


def _killed_accounts(trading: Trading, run: Run) -> Collection[str]:
    accounts = [*(each.account for each in run.positions), *(each.account for each in run.allocations)]
    return {account for account in accounts if trading.guard.killed(run, account) is not None}


async def _leave(trading: Trading, asked: Leave, snapshot: Snapshot) -> None:
    """Mark the strategy's open runs, and take the request away; it is repeated after a crash in between."""
    for run in trading.runs.of_strategy(asked.user_id, asked.strategy_id):
        key = (run.user_id, run.id)
        if not run.status.is_over and run.status is not RunStatus.SCHEDULED:
            await mark_ended(trading, key, accounts_standing(run), ExitReason.MANUAL, snapshot)
            _see_closed(trading, key)
    await trading.books.delete_leave(asked)


def _see_closed(trading: Trading, key: RunKey) -> None:
    """Start closing what is marked and nobody is closing, entries under way included."""
    for account in accounts_ending(trading, key):
        if not trading.exit_lock(key, account).locked():
            trading.start(close(trading, key, account), name=f"close {key[1]} on {account}", user_id=key[0])
