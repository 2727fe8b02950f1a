"""``baskets logout``: end a login, at the server and here."""

import asyncio

import click

from option_baskets.cli.client.options import server as server_option


@click.command("logout")
@server_option
@click.option("--everywhere", is_flag=True, help="End every login of this user, on other machines too.")
def command(server: str, everywhere: bool) -> None:
    """End the login at a server: its tokens are refused from now on, and the file with them is deleted.

    Where the server does not answer the file is deleted all the same.

    \b
    Examples:
      baskets logout
      baskets logout --server https://baskets.example.org --everywhere
    """
    from option_baskets.cli.client.connection import connected
    from option_baskets.domain.errors import NotFound, Unauthenticated

    async def work() -> str:
        async with connected(server) as api:
            if not api.token and api.logins.get(api.server) is None:
                raise NotFound(f"nobody is logged in at {api.server}")
            try:
                await api.ask("POST", "/auth/logout", query={"everywhere": "true"} if everywhere else None)
            except Unauthenticated:  # it was over already
                pass
            finally:
                api.logins.forget(api.server)
            return api.server

    click.echo(f"logged out at {asyncio.run(work())}")
