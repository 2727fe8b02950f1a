"""Kill switches, exits by hand, and watching what becomes of them, at a server."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.table import Table

from option_baskets.cli.client.connection import Connection
from option_baskets.cli.client.differences import wire
from option_baskets.cli.switches import LOOK_EVERY, SEEN_WITHIN, named, option_of, require_one, told
from option_baskets.domain.errors import NotFound, Unavailable
from option_baskets.domain.kill import Killed, KillScope
from option_baskets.domain.order import OrderState
from option_baskets.domain.run import RunStatus
from option_baskets.domain.session import IST
from option_baskets.engine.left import Left

SWITCHES = "/options/kill-switches"


async def subject_of(
    api: Connection, *, account: str | None, basket: str | None, strategy: str | None, everything: bool
) -> Killed:
    """What the options of a command name, of which exactly one is given.

    Raises:
        Invalid: none or several are given, or the name means nothing, or more than one thing.
    """
    require_one(account=account, basket=basket, strategy=strategy, everything=everything)
    if account is not None:
        known = {each["id"]: each["id"] for each in await api.listed("/broker-accounts")}
        return KillScope.ACCOUNT, named("account", account, known)
    if basket is not None:
        known = {each["id"]: each["name"] for each in await api.listed("/options/baskets")}
        return KillScope.BASKET, named("basket", basket, known)
    if strategy is not None:
        known = {each["id"]: each["name"] for each in await api.listed("/options/strategies")}
        return KillScope.STRATEGY, named("strategy", strategy, known)
    return KillScope.USER, ""


async def throw(
    console: Console,
    api: Connection,
    *,
    account: str | None,
    basket: str | None,
    strategy: str | None,
    everything: bool,
    reason: str,
    waits: bool,
) -> bool:
    """Throw a switch and watch what becomes of it; whether all of it is flat, or nobody wants to know."""
    subject = await subject_of(api, account=account, basket=basket, strategy=strategy, everything=everything)
    scope, name = subject
    body = {"scope": scope, "reason": reason} | ({"id": name} if name else {})
    answer = await api.ask("POST", SWITCHES, body=wire(body))
    path = answer.headers["Location"]
    back = f"baskets arm {option_of(subject)} --server {api.server}"
    console.print(f"[bold]{_what(subject)} is killed[/]: nothing is entered there until {back}", highlight=False)

    async def look() -> tuple[bool, Left]:
        kill = await api.get(quote(path, safe="/~%"))
        return kill["taken_up_at"] is not None, _left(kill["left"])

    return not waits or await _watch(console, api, look)


async def release(
    console: Console,
    api: Connection,
    *,
    account: str | None,
    basket: str | None,
    strategy: str | None,
    everything: bool,
    reason: str,
) -> None:
    """Release the switch that is named, or all of them.

    Raises:
        NotFound: it is not thrown.
    """
    kills = await api.listed(SWITCHES)
    if not everything:
        wanted = await subject_of(api, account=account, basket=basket, strategy=strategy, everything=everything)
    released = [kill for kill in kills if everything or _subject(kill) == wanted]
    if not released:
        there = ", ".join(_what(_subject(kill)) for kill in kills)
        raise NotFound(f"that is not killed; killed is {there}" if there else "nothing is killed")
    for kill in released:
        await api.ask("DELETE", f"{SWITCHES}/{quote(kill['id'], safe='~')}", query={"reason": reason or None})
        console.print(f"[bold]{_what(_subject(kill))} is armed[/]: the next entries are made", highlight=False)
    for kill in kills:
        if kill not in released:
            console.print(f"[yellow]{_what(_subject(kill))} stays killed[/]", highlight=False)


async def show_switches(console: Console, api: Connection) -> None:
    """Every switch that is thrown: since when, by whom, why, whether the engine has it, and what is left."""
    kills = await api.listed(SWITCHES)
    if not kills:
        console.print("nothing is killed")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("killed", "since", "by", "why", "taken up", "left"):
        table.add_column(name, no_wrap=name == "since")
    for kill in kills:
        since = f"{datetime.fromisoformat(kill['thrown_at']).astimezone(IST):%d-%b-%Y %H:%M:%S}"
        seen = kill["taken_up_at"]
        taken_up = f"{datetime.fromisoformat(seen).astimezone(IST):%d-%b %H:%M:%S}" if seen else "not yet"
        table.add_row(
            _what(_subject(kill)), since, kill["thrown_by"], kill["reason"], taken_up, told(_left(kill["left"]))
        )
    console.print(table)


async def leave(console: Console, api: Connection, *, strategy: str, reason: str, waits: bool) -> bool:
    """Ask for a strategy to be left and watch it; whether it is flat, or nobody wants to know."""
    _, name = await subject_of(api, account=None, basket=None, strategy=strategy, everything=False)
    path = f"/options/strategies/{quote(name, safe='~')}/exit"
    asked = (await api.ask("POST", path, query={"reason": reason or None})).json()
    runs = [run["id"] for run in asked["runs"]]
    if not runs:
        console.print(f"nothing of {name} is open", highlight=False)
        return True
    console.print(f"[bold]{name} is left[/], by hand", highlight=False)

    async def look() -> tuple[bool, Left]:
        found = [await api.get(f"/options/executions/{quote(run, safe='~')}") for run in runs]
        statuses = {RunStatus(run["run"]["status"]) for run in found}
        taken_up = all(status.is_over or status is RunStatus.EXITING for status in statuses)
        return taken_up, _left_of(found)

    return not waits or await _watch(console, api, look)


# ---------------------------------------------------------------- waiting for it


async def _watch(console: Console, api: Connection, look: Callable[[], Awaitable[tuple[bool, Left]]]) -> bool:
    """Tell what is left whenever it changes, until it is flat; False where nobody is there to close it."""
    until, shown = api.clock.now() + SEEN_WITHIN, ""
    while True:
        try:
            taken_up, left = await look()
        except NotFound:
            console.print("[yellow]somebody released it meanwhile[/]; baskets status shows what is open")
            return False
        if taken_up and left.is_flat:
            console.print("[green]flat[/]: nothing is open, and no order is working")
            return True
        hindrance = await _hindrance(api)
        if hindrance:
            console.print(f"[bold red]{hindrance}[/]: it is written, and done when trading goes on; {told(left)}")
            return left.is_flat
        if not taken_up and api.clock.now() > until:
            console.print(f"[bold red]{api.server} has not taken it up[/]; its log may say why. {told(left)}")
            return left.is_flat
        text = told(left) if taken_up else f"waiting for the engine to take it up; {told(left)}"
        if text != shown:
            console.print(text, highlight=False)
            shown = text
        await api.clock.pause(LOOK_EVERY)


async def _hindrance(api: Connection) -> str:
    """Why nothing is traded now; empty where it is."""
    try:
        engine = (await api.get("/ready"))["engine"]
    except Unavailable as error:
        return str(error)
    return "" if engine == "trading" else f"nothing is traded now ({engine})"


def _what(subject: Killed) -> str:
    scope, name = subject
    return f"{scope} {name}" if name else "everything"


def _subject(kill: Mapping[str, Any]) -> Killed:
    return KillScope(kill["scope"]), kill["subject_id"] or ""


def _left(found: Sequence[Mapping[str, Any]]) -> Left:
    return Left(
        positions={each["account"]: each["open_positions"] for each in found if each["open_positions"]},
        orders={each["account"]: each["working_orders"] for each in found if each["working_orders"]},
    )


def _left_of(runs: Sequence[Mapping[str, Any]]) -> Left:
    """What is open and working of runs."""
    positions: dict[str, int] = {}
    orders: dict[str, int] = {}
    for run in runs:
        for leg in (leg for leg in run["legs"] if leg["open"]):
            positions[leg["account"]] = positions.get(leg["account"], 0) + 1
        for order in (order for order in run["orders"] if not OrderState(order["state"]).is_final):
            orders[order["account"]] = orders.get(order["account"], 0) + 1
    return Left(positions=positions, orders=orders)
