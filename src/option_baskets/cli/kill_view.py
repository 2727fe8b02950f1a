"""What is killed, as a table."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from option_baskets.cli.data_folder import holder
from option_baskets.cli.killing import books_of
from option_baskets.cli.switches import told
from option_baskets.domain.session import IST
from option_baskets.engine.left import left_of, parts_of
from option_baskets.wiring import LOCAL_USER


async def show_status(console: Console, data: Path) -> None:
    """Every switch that is thrown: since when, by whom, why, whether the engine has it, and what is left."""
    async with books_of(data) as books:
        kills, parts = await books.kills_of(LOCAL_USER), await parts_of(books, LOCAL_USER)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for name in ("killed", "since", "by", "why", "taken up", "left"):
            table.add_column(name, no_wrap=name == "since")
        for kill in kills:
            seen = "not yet" if kill.seen_at is None else f"{kill.seen_at.astimezone(IST):%d-%b %H:%M:%S}"
            since = f"{kill.at.astimezone(IST):%d-%b-%Y %H:%M:%S}"
            table.add_row(kill.what, since, kill.actor, kill.reason, seen, told(left_of(parts, kill.subject)))
    if kills:
        console.print(table)
    else:
        console.print("nothing is killed")
    engine = holder(data)
    console.print(f"process {engine} trades in {data}" if engine else f"no engine works in {data}", highlight=False)
