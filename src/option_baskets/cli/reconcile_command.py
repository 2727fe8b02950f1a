"""``baskets reconcile``: the books beside the exchange's own, account by account."""

from datetime import datetime
from pathlib import Path

import click


@click.command("reconcile")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are kept (or OPTION_BASKETS_DATA).",
)
@click.option("--server", hidden=True, metavar="URL")
@click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="Orders of this day. Default: the last.")
def command(data: Path, server: str | None, day: datetime | None) -> None:
    """Compare the books with the paper exchange: orders of a day, and positions as they are now.

    It only reads and changes nothing, whether baskets run is at work or not. A day that is trading does the same every
    minute and settles what it finds; docs/order-safety.md says how. Ends with 1 where something differs.

    \b
    Examples:
      baskets reconcile
      baskets reconcile --data /var/lib/baskets --date 2026-11-24
    """
    import asyncio

    from rich import box
    from rich.table import Table
    from rich.text import Text

    from option_baskets.cli.comparing import compared
    from option_baskets.cli.terminal import terminal
    from option_baskets.domain.errors import Invalid
    from option_baskets.wiring import PAPER_FILE, TRADING_FILE

    if server is not None:
        told = (
            "the exchange's own book is in the data folder, on the machine of the server: run it there, with --data. "
            f"What the engine finds itself, every minute, is an alert: baskets status --server {server}"
        )
        raise Invalid(told, where="--server")
    for name in (TRADING_FILE, PAPER_FILE):
        if not (data / name).is_file():
            raise Invalid(f"{data} has no {name}; baskets run makes one", where="--data")
    on, accounts = asyncio.run(compared(data, day.date() if day else None))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("account", "contract"):
        table.add_column(column, no_wrap=True)
    for column in ("ours", "exchange", "closed by others", "not ours"):
        table.add_column(column, justify="right")
    for each in accounts:
        if not each.drifts:
            agree = f"{each.orders} orders, {each.positions} positions: {'agree' if not each.remarks else 'see below'}"
            table.add_row(each.account, Text(agree, style="green" if not each.remarks else "yellow"))
        for drift in each.drifts:
            closed, opened = f"{drift.closed or ''}", f"{drift.opened:+d}" if drift.opened else ""
            row = (each.account, drift.contract.name, f"{drift.ours:+d}", f"{drift.held:+d}", closed, opened)
            table.add_row(*(Text(cell, style="yellow") for cell in row))
    console = terminal()
    console.print(f"orders of {on}" if on else "nothing was ever ordered")
    console.print(table)
    for each in accounts:
        for remark in each.remarks:
            console.print(Text(f"{each.account}: {remark}", style="yellow"))
    if any(each.drifts or each.remarks for each in accounts):
        raise SystemExit(1)
