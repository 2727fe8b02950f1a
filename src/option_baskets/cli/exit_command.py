"""``baskets exit``: close the open runs of one strategy now, by hand."""

import asyncio
from pathlib import Path

import click

from option_baskets.cli.kill_options import data_folder


@click.command("exit")
@click.option("--strategy", required=True, metavar="NAME", help="Its name or id.")
@data_folder
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@click.option("--no-wait", is_flag=True, help="Ask for it and return; the engine goes on alone.")
@click.pass_context
def command(ctx: click.Context, strategy: str, data: Path, reason: str, no_wait: bool) -> None:
    """Exit a strategy on all its accounts now, whatever its rules say.

    What it holds is closed, shorts first, what it waits for is dropped, and it is not begun again that day by its own
    rules. Nothing is fenced: on the next day it is due, it enters again. baskets kill --strategy keeps it out.

    \b
    Examples:
      baskets exit --strategy "0920 straddle"
      baskets exit --strategy straddle.0920-straddle --reason "results tonight"
    """
    from option_baskets.cli.killing import leave
    from option_baskets.cli.terminal import terminal

    flat = asyncio.run(leave(terminal(), data, strategy=strategy, reason=reason, waits=not no_wait))
    ctx.exit(0 if flat else 1)
