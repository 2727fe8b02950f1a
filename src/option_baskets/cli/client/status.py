"""A user's day at a server, as tables."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from option_baskets.cli.client.connection import Connection
from option_baskets.cli.client.controls import show_switches
from option_baskets.domain.errors import Unavailable
from option_baskets.domain.money import rupees
from option_baskets.domain.session import IST

Row = Mapping[str, Any]

_PAINTED = {"FILLED": "", "REJECTED": "red", "UNKNOWN": "bold red", "critical": "bold red", "warning": "yellow"}


async def show(console: Console, api: Connection, day: date | None, *, most: int) -> None:
    """Everything of a day; None: of the one it is on the market's clock. Of orders the newest ``most``."""
    profits = await api.get("/options/pnl", date=day)
    day = date.fromisoformat(profits["date"])
    console.print(f"[bold]{day:%A %d %B %Y}[/] at {api.server}: {await _market(api)}", highlight=False)
    if await api.listed("/options/kill-switches"):
        await show_switches(console, api)
    runs = await api.listed("/options/executions", date=day)
    _print(console, "runs", _runs(runs))
    if profits["items"]:
        _print(console, "profit and loss, rupees", _profits(profits))
    _print(console, "open positions", _positions(await api.listed("/options/positions")))
    orders = await _first(api, "/options/orders", most, day) if most else []
    _print(console, "orders", _orders(orders), more=len(orders) == most)
    alerts = await api.listed("/options/alerts", date=day)
    _print(console, "alerts", _alerts(alerts))
    refusals = await api.listed("/options/refusals", date=day)
    _print(console, "refusals", _refusals(refusals))


async def _market(api: Connection) -> str:
    try:
        ready = await api.get("/ready")
    except Unavailable as error:
        return str(error)
    now = datetime.fromisoformat(ready["market_time"]).astimezone(IST)
    following = f", next session {ready['next_session']}" if ready["next_session"] else ""
    return f"{ready['engine'].replace('_', ' ')}, {now:%d-%b %H:%M:%S} on the market's clock{following}"


async def _first(api: Connection, path: str, most: int, day: date) -> list[Row]:
    found: list[Row] = []
    async for item in api.pages(path, date=day):
        found.append(item)
        if len(found) == most:
            break
    return found


def _print(console: Console, title: str, table: Table, *, more: bool = False) -> None:
    if not table.row_count:
        console.print(f"\nno {title}")
        return
    console.print(f"\n[bold]{title}[/]" + (f", the newest {table.row_count}" if more else ""))
    console.print(table)


def _table(*columns: str) -> Table:
    """A column whose name ends in > is of numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    return table


def _runs(runs: Iterable[Row]) -> Table:
    table = _table("strategy", "run", "status", "entry", "exit", "realised>", "why")
    for run in runs:
        why = ": ".join(filter(None, (run["reason"], run["detail"])))
        table.add_row(
            run["strategy"],
            run["id"],
            run["status"].lower(),
            time_of(run["entry_at"]),
            time_of(run["closed_at"] or run["exit_at"]),
            money(run["realised"]),
            why,
        )
    return table


def _profits(profits: Row) -> Table:
    table = _table("strategy", "account", "realised>", "unrealised>", "charges>", "net>", "with open>")
    for each in profits["items"]:
        table.add_row(each["strategy"], each["account"], *_amounts(each["amounts"]))
    rounding = [Decimal(amount) for amount in profits["rounding"].values() if amount is not None]
    if any(rounding):
        table.add_row("rupee rounding", "", "", "", money(sum(rounding)), "", "")
    table.add_section()
    table.add_row("total", "", *_amounts(profits["total"]))
    return table


def _amounts(made: Row) -> tuple[str, ...]:
    return tuple(money(made[name]) for name in ("realised", "unrealised", "charges", "net", "mtm"))


def _positions(positions: Iterable[Row]) -> Table:
    table = _table("strategy", "account", "leg", "position", "units>", "entry>", "now>", "unrealised>", "delta>")
    for each in positions:
        sign = 1 if each["side"] == "BUY" else -1
        delta = "" if each["greeks"] is None else f"{each['greeks']['delta']:,.1f}"
        table.add_row(
            each["strategy"],
            each["account"],
            each["leg"],
            each["contract"]["name"],
            f"{sign * each['open']:+,d}",
            number(each["entry_price"]),
            number(each["mark"]),
            money(each["unrealised"]),
            delta,
        )
    return table


def _orders(orders: Iterable[Row]) -> Table:
    table = _table("time", "strategy", "account", "order", "filled>", "at>", "state", "why")
    for order in orders:
        table.add_row(
            time_of(order["updated_at"]),
            order["strategy_id"],
            order["account"],
            f"{order['side']} {order['contract']['name']}",
            f"{order['filled']:,d} of {order['quantity']:,d}",
            number(order["average_price"]),
            Text(order["state"].lower(), style=_PAINTED.get(order["state"], "yellow")),
            order["reason"] or order["cause"] or "",
        )
    return table


def _alerts(alerts: Iterable[Row]) -> Table:
    table = _table("time", "level", "alert", "what")
    for alert in islice(alerts, 20):
        level = Text(alert["level"], style=_PAINTED.get(alert["level"], ""))
        table.add_row(time_of(alert["at"]), level, alert["code"], alert["message"])
    return table


def _refusals(refusals: Iterable[Row]) -> Table:
    table = _table("time", "strategy", "account", "refused", "why")
    for refusal in islice(refusals, 20):
        place = refusal["account"] or ""
        table.add_row(time_of(refusal["at"]), refusal["strategy_id"], place, refusal["reason"], refusal["detail"])
    return table


def time_of(text: str | None) -> str:
    """The time of day at the exchange."""
    return "" if text is None else f"{datetime.fromisoformat(text).astimezone(IST):%H:%M:%S}"


def money(text: object) -> str:
    return "?" if text is None else f"{rupees(Decimal(str(text))):,.2f}"


def number(text: str | None) -> str:
    return "" if text is None else f"{Decimal(text):,.2f}"
