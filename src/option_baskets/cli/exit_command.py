"""``baskets exit``: close the open runs of one strategy now, by hand."""

import asyncio
from pathlib import Path

import click

from option_baskets.cli.client.options import chosen, or_server
from option_baskets.cli.kill_options import data_folder


@click.command("exit")
@click.option("--strategy", required=True, metavar="NAME", help="Its name or id.")
@data_folder
@or_server
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@click.option("--no-wait", is_flag=True, help="Ask for it and return; the engine goes on alone.")
@click.pass_context
def command(ctx: click.Context, strategy: str, data: Path, server: str | None, reason: str, no_wait: bool) -> None:
    """Exit a strategy on all its accounts now, whatever its rules say.

    What it holds is closed, shorts first, what it waits for is dropped, and it is not begun again that day by its own
    rules. Nothing is fenced: on the next day it is due, it enters again. baskets kill --strategy keeps it out.

    \b
    Examples:
      baskets exit --strategy "0920 straddle"
      baskets exit --strategy straddle.0920-straddle --reason "results tonight"
      baskets exit --strategy "0920 straddle" --server http://127.0.0.1:8000
    """
    from option_baskets.cli.terminal import terminal

    address = chosen(ctx)

    async def work() -> bool:
        if address is None:
            from option_baskets.cli.killing import leave

            return await leave(terminal(), data, strategy=strategy, reason=reason, waits=not no_wait)
        from option_baskets.cli.client.connection import connected
        from option_baskets.cli.client.controls import leave as leave_there

        async with connected(address) as api:
            return await leave_there(terminal(), api, strategy=strategy, reason=reason, waits=not no_wait)

    ctx.exit(0 if asyncio.run(work()) else 1)
