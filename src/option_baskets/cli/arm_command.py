"""``baskets arm``: release what ``baskets kill`` has thrown."""

import asyncio
from pathlib import Path

import click

from option_baskets.cli.kill_options import data_folder, scope


@click.command("arm")
@scope
@data_folder
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
def command(
    account: str | None, basket: str | None, strategy: str | None, everything: bool, data: Path, reason: str
) -> None:
    """Let entries through again where baskets kill has stopped them.

    Released is exactly what is named, with --all every switch. What another switch covers too stays killed. Entries
    whose minute has passed are not made up for; the next ones are made. A running engine knows within a second.

    \b
    Examples:
      baskets arm --account zerodha-1
      baskets arm --all --reason "the file is mended"
    """
    from option_baskets.cli.killing import release
    from option_baskets.cli.terminal import terminal

    asyncio.run(
        release(
            terminal(),
            data,
            account=account,
            basket=basket,
            strategy=strategy,
            everything=everything,
            reason=reason,
        )
    )
