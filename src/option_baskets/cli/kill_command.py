"""``baskets kill``: stop entering, cancel what works, exit what is held, and stay out until armed again."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from option_baskets.cli.client.options import chosen, or_server
from option_baskets.cli.kill_options import data_folder, scope

if TYPE_CHECKING:
    from rich.console import Console


@click.command("kill")
@scope
@data_folder
@or_server
@click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
@click.option("--no-wait", is_flag=True, help="Write the switch and return; the engine goes on alone.")
@click.option("--status", is_flag=True, help="Only show what is killed, since when, by whom and why.")
@click.option("--direct", is_flag=True, help="Without engine: close what the paper exchange's own book shows.")
@click.option("--market", default="simulated", show_default=True, help="With --direct: simulated, or recorded:DIR.")
@click.option("--seed", type=int, default=7, show_default=True, help="With --direct: of the simulated market.")
@click.option(
    "--at",
    type=click.DateTime(formats=["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]),
    help="With --direct: the instant of its market. Default: now in a session, else the newest in the book.",
)
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
    no_wait: bool,
    status: bool,
    direct: bool,
    market: str,
    seed: int,
    at: datetime | None,
) -> None:
    """Throw the kill switch of an account, a basket, a strategy, or of everything.

    Nothing is entered there from now on; orders that work are cancelled and what is held is exited, shorts first, until
    all of it is flat. A running engine takes it up within a second; one that is started later, before anything else.
    The switch stays thrown over nights and restarts until baskets arm releases it.

    With --direct nothing but the exchange's book is needed: every order of the account is cancelled and every position
    closed, whoever made it. It is for when no engine can be started. The fence is written too where the books can be.

    Ends with 0 once all is flat, with 1 where something is left that nobody closes.

    \b
    Examples:
      baskets kill --all --reason "wrong file"
      baskets kill --account zerodha-1
      baskets kill --strategy "0920 straddle" --no-wait
      baskets kill --status
      baskets kill --direct --all --data data
      baskets kill --basket income --server http://127.0.0.1:8000
    """
    from option_baskets.cli.terminal import terminal
    from option_baskets.domain.errors import Invalid

    console, address = terminal(), chosen(ctx)
    named: dict[str, Any] = {"account": account, "basket": basket, "strategy": strategy, "everything": everything}
    if address is not None:
        if direct:
            raise Invalid(
                "it closes by the book in a data folder, where the server runs; leave --server out", where="--direct"
            )
        wanted = None if status else {**named, "reason": reason, "waits": not no_wait}
        ctx.exit(0 if asyncio.run(_there(console, address, wanted)) else 1)
    if status:
        from option_baskets.cli.kill_view import show_status

        asyncio.run(show_status(console, data))
        return
    if direct:
        from option_baskets.adapters.clock import run_real
        from option_baskets.cli.killing_directly import DirectKill

        asked = DirectKill.of(data, account, basket, strategy, everything, market=market, seed=seed, at=at)
        ctx.exit(0 if run_real(asked.carry_out(console, reason)) else 1)
    from option_baskets.cli.killing import throw

    flat = asyncio.run(throw(console, data, **named, reason=reason, waits=not no_wait))
    ctx.exit(0 if flat else 1)


async def _there(console: "Console", address: str, asked: dict[str, Any] | None) -> bool:
    """The same at a server; None: show what is killed."""
    from option_baskets.cli.client.connection import connected
    from option_baskets.cli.client.controls import show_switches, throw

    async with connected(address) as api:
        if asked is not None:
            return await throw(console, api, **asked)
        await show_switches(console, api)
    return True
