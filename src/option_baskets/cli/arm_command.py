"""``baskets arm``: release what ``baskets kill`` has thrown."""

import asyncio
from pathlib import Path
from typing import Any

import click

from option_baskets.cli.client.options import chosen, or_server
from option_baskets.cli.kill_options import data_folder, scope


@click.command("arm")
@scope
@data_folder
@or_server
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@click.pass_context
def command(
    ctx: click.Context,
    account: str | None,
    basket: str | None,
    strategy: str | None,
    everything: bool,
    data: Path,
    server: str | None,
    reason: str,
) -> None:
    """Let entries through again where baskets kill has stopped them.

    Released is exactly what is named, with --all every switch. What another switch covers too stays killed. Entries
    whose minute has passed are not made up for; the next ones are made. A running engine knows within a second.

    \b
    Examples:
      baskets arm --account zerodha-1
      baskets arm --all --reason "the file is mended"
      baskets arm --basket income --server http://127.0.0.1:8000
    """
    from option_baskets.cli.terminal import terminal

    address = chosen(ctx)
    named: dict[str, Any] = {"account": account, "basket": basket, "strategy": strategy, "everything": everything}

    async def work() -> None:
        if address is None:
            from option_baskets.cli.killing import release

            await release(terminal(), data, **named, reason=reason)
            return
        from option_baskets.cli.client.connection import connected
        from option_baskets.cli.client.controls import release as release_there

        async with connected(address) as api:
            await release_there(terminal(), api, **named, reason=reason)

    asyncio.run(work())
