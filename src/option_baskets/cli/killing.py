"""The kill switch from outside the engine: whom a name means, what is written, and watching until all of it is flat."""

import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from rich.console import Console

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.cli.data_folder import holder
from option_baskets.cli.switches import LOOK_EVERY, SEEN_WITHIN, named, option_of, require_one, told
from option_baskets.domain.errors import NotFound
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.engine.left import Left, left_of, parts_of
from option_baskets.store.books import Books, Leave
from option_baskets.wiring import LOCAL_USER, TRADING_FILE


def actor() -> str:
    """The user of the machine, as the history keeps it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, e.g. in a container
        return f"uid {os.getuid()}"


@contextlib.asynccontextmanager
async def books_of(data: Path) -> AsyncIterator[Books]:
    """The books of a data folder, beside an engine that may be at work in it.

    Raises:
        NotFound: there are none.
        Unavailable: they cannot be opened.
    """
    path = data / TRADING_FILE
    if not path.is_file():
        raise NotFound(f"there are no books in {data}; name the folder that was given to baskets run as --data")
    table = SqliteTable.open(path, now=RealClock().now)
    try:
        yield Books(table)
    finally:
        await table.close()


# ---------------------------------------------------------------- what is meant


async def subject_of(
    books: Books, *, account: str | None, basket: str | None, strategy: str | None, everything: bool
) -> Killed:
    """What the options of a command name, of which exactly one is given.

    Raises:
        Invalid: none or several are given, or the name means nothing, or more than one thing.
    """
    require_one(account=account, basket=basket, strategy=strategy, everything=everything)
    if account is not None:
        known = {each.id: each.id for each in await books.accounts(LOCAL_USER)}
        return KillScope.ACCOUNT, named("account", account, known)
    if basket is not None:
        known = {each.id: each.name for each in await books.baskets(LOCAL_USER)}
        return KillScope.BASKET, named("basket", basket, known)
    if strategy is not None:
        known = {each.id: each.name for each in await books.strategies(LOCAL_USER)}
        known |= {run.strategy.id: run.strategy.name for run in await books.open_runs(LOCAL_USER)}
        return KillScope.STRATEGY, named("strategy", strategy, known)
    return KillScope.USER, ""


# ---------------------------------------------------------------- what is left of it


async def what_is_left(books: Books, subject: Killed) -> Left:
    """What is held and worked on behind a switch, by the journal."""
    return left_of(await parts_of(books, LOCAL_USER), subject)


# ---------------------------------------------------------------- waiting for it


async def watch(
    console: Console, data: Path, books: Books, subject: Killed, seen: Callable[[], Awaitable[bool]]
) -> bool:
    """Tell what is left whenever it changes, until it is flat; False where nobody is there to close it."""
    clock = RealClock()
    until = clock.now() + SEEN_WITHIN
    shown = ""
    while True:
        left = await what_is_left(books, subject)
        taken_up = await seen()
        engine = holder(data)
        if taken_up and left.is_flat:
            console.print("[green]flat[/]: nothing is open, and no order is working")
            return True
        if engine is None:
            return await _without_engine(console, data, left)
        if not taken_up and clock.now() > until:
            console.print(
                f"[bold red]process {engine} trades in {data} and has not taken it up.[/] It may be waiting for its "
                "next session, which begins with it; where it is stuck, end it and start it again, or end it and "
                "use baskets kill --direct"
            )
            return left.is_flat
        text = told(left) if taken_up else f"waiting for process {engine} to take it up; {told(left)}"
        if text != shown:
            console.print(text, highlight=False)
            shown = text
        await clock.sleep_until(clock.now() + LOOK_EVERY)


async def _without_engine(console: Console, data: Path, left: Left) -> bool:
    console.print(f"no engine works in {data}: it is written there, and takes effect when baskets run is started again")
    if left.is_flat:
        console.print("[green]flat[/]: nothing is open, and no order is working")
        return True
    console.print(
        f"[bold red]nobody closes what is open[/]: {told(left)}; start baskets run, or use baskets kill --direct"
    )
    return False


async def is_seen(books: Books, subject: Killed) -> bool:
    """Whether the engine has taken the switch up; one that was released meanwhile needs nobody to."""
    kills = [kill for kill in await books.kills_of(LOCAL_USER) if kill.subject == subject]
    return all(kill.seen_at is not None for kill in kills)


# ---------------------------------------------------------------- what the commands do


async def throw(
    console: Console,
    data: Path,
    *,
    account: str | None,
    basket: str | None,
    strategy: str | None,
    everything: bool,
    reason: str,
    waits: bool,
) -> bool:
    """Write a switch and watch what becomes of it; whether all of it is flat, or nobody wants to know."""
    async with books_of(data) as books:
        subject = await subject_of(books, account=account, basket=basket, strategy=strategy, everything=everything)
        kill = Kill(user_id=LOCAL_USER, subject=subject, at=RealClock().now(), actor=actor(), reason=reason)
        await books.save_kill(kill)
        console.print(
            f"[bold]{kill.what} is killed[/]: nothing is entered there until baskets arm {option_of(subject)}"
        )
        return not waits or await watch(console, data, books, subject, lambda: is_seen(books, subject))


async def release(
    console: Console,
    data: Path,
    *,
    account: str | None,
    basket: str | None,
    strategy: str | None,
    everything: bool,
    reason: str,
) -> None:
    """Take away the fence that is named, or all of them.

    Raises:
        NotFound: it is not killed.
    """
    async with books_of(data) as books:
        kills = await books.kills_of(LOCAL_USER)
        wanted = everything or await subject_of(
            books, account=account, basket=basket, strategy=strategy, everything=everything
        )
        released = [kill for kill in kills if everything or kill.subject == wanted]
        if not released:
            there = ", ".join(kill.what for kill in kills)
            raise NotFound(f"that is not killed; killed is {there}" if there else "nothing is killed")
        for kill in released:
            await books.delete_kill(kill, at=RealClock().now(), actor=actor(), reason=reason)
            console.print(f"[bold]{kill.what} is armed[/]: the next entries are made", highlight=False)
        for kill in kills:
            if kill not in released:
                console.print(f"[yellow]{kill.what} stays killed[/]", highlight=False)


async def leave(console: Console, data: Path, *, strategy: str, reason: str, waits: bool) -> bool:
    """Ask for a strategy to be left and watch it; whether it is flat, or nobody wants to know."""
    async with books_of(data) as books:
        subject = await subject_of(books, account=None, basket=None, strategy=strategy, everything=False)
        asked = Leave(user_id=LOCAL_USER, strategy_id=subject[1], at=RealClock().now(), actor=actor(), reason=reason)
        await books.save_leave(asked)
        console.print(f"[bold]{subject[1]} is left[/], by hand", highlight=False)

        async def taken_up() -> bool:
            return await books.leave_of(LOCAL_USER, asked.strategy_id) is None

        return not waits or await watch(console, data, books, subject, taken_up)
