"""``baskets status``: what is open at a server, what it makes, and what happens."""

import asyncio
from datetime import datetime

import click

from option_baskets.cli.client.options import server as server_option


@click.command("status")
@server_option
@click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="The day. Default: the market's.")
@click.option(
    "--orders", "most", type=click.IntRange(0), default=15, show_default=True, help="The newest so many orders."
)
@click.option("--follow", is_flag=True, help="Then tell what happens, as it happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="With --follow: messages of the stream, a line of JSON each.")
def command(server: str, day: datetime | None, most: int, follow: bool, as_json: bool) -> None:
    """Show runs, profits, open positions, orders and alerts of who is logged in at a server.

    With --follow it goes on over the live stream: orders, fills, runs, alerts, refusals. A connection that breaks is
    taken up again where it broke. docs/stream.md has the messages that --json prints.

    \b
    Examples:
      baskets status
      baskets status --date 2026-11-23 --orders 100
      baskets status --follow
      baskets status --follow --json | jq 'select(.type == "fill")'
    """
    from option_baskets.domain.errors import Invalid

    if as_json and not follow:
        raise Invalid("is for --follow; baskets api list_positions and others print JSON", where="--json")
    try:
        asyncio.run(_work(server, day, most, follow=follow, as_json=as_json))
    except (KeyboardInterrupt, BrokenPipeError):
        raise SystemExit(0) from None


async def _work(server: str, day: datetime | None, most: int, *, follow: bool, as_json: bool) -> None:
    from option_baskets.cli.client.connection import connected
    from option_baskets.cli.client.following import followed, line_of
    from option_baskets.cli.client.status import show
    from option_baskets.cli.terminal import terminal

    console = terminal()
    async with connected(server) as api:
        if not as_json:
            await show(console, api, day.date() if day else None, most=most)
        if not follow:
            return
        async for text, message in followed(api):
            if as_json:
                click.echo(text)
            elif told := line_of(message):
                console.print(told)
