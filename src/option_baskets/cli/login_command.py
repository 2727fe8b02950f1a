"""``baskets login``: be somebody at a server, for the commands that follow."""

import asyncio
import sys
from urllib.parse import urlsplit

import click

from option_baskets.cli.client.options import server as server_option


@click.command("login")
@click.argument("email", required=False)
@server_option
@click.option("--second-factor", is_flag=True, help="Ask for a code of the second factor too.")
def command(email: str | None, server: str, second_factor: bool) -> None:
    """Log in at a server of the API. Commands with --server then ask it as this user.

    The password is asked for, or read as one line of standard input (the code as the next one); it is never an
    argument, which others could see. What is kept is a login, not the password: a file that only you can read, below
    XDG_CONFIG_HOME. It is renewed as it is used, and over after 14 days without use or with baskets logout.

    A script may do without: with OPTION_BASKETS_SERVER and an access token in OPTION_BASKETS_TOKEN.

    \b
    Examples:
      baskets login asha@example.org
      baskets login asha@example.org --server https://baskets.example.org
      echo "correct horse battery staple" | baskets login asha@example.org
    """
    from option_baskets.cli.client.connection import connected
    from option_baskets.cli.client.logins import server_of

    address = server_of(server)
    if _is_open(address):
        click.echo(f"{address} is not encrypted: whoever is on the way can read the password", err=True)
    email = email or _line("Email")
    password = _line("Password", hidden=True)
    code = _line("Code") if second_factor else ""

    async def work() -> str:
        async with connected(address) as api:
            return (await api.login(email, password, code)).server

    click.echo(f"{email} is logged in at {asyncio.run(work())}")


def _line(prompt: str, *, hidden: bool = False) -> str:
    """From the terminal, or a line of standard input."""
    if sys.stdin.isatty():
        said: str = click.prompt(prompt, hide_input=hidden)
        return said
    return sys.stdin.readline().rstrip("\r\n")


def _is_open(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    return parts.scheme == "http" and host not in {"localhost", "::1"} and not host.startswith("127.")
