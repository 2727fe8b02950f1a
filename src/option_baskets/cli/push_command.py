"""``baskets push``: make the plans at a server those of basket files."""

import asyncio
from pathlib import Path

import click

from option_baskets.cli.client.options import server as server_option

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("push")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@server_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--facts", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Later market facts.")
def command(files: tuple[Path, ...], server: str, dry_run: bool, facts: Path | None) -> None:
    """Make baskets at a server those of FILE..., as who is logged in there, and show what changes.

    A basket of a file is made, or changed into it: strategies and allocations that the file does not have are deleted,
    accounts it names are made or changed and never deleted. Baskets that no file names stay as they are. What is the
    same is left alone, so a second push changes nothing. Changes of a strategy count from its next entry.

    It is checked here first, then sent request by request, each for the version that was read: what somebody changes
    meanwhile is not overwritten. A push that stops half-way is finished by the next one.

    \b
    Examples:
      baskets push examples/straddle-0920.toml --dry-run
      baskets push examples/*.toml --server https://baskets.example.org
    """
    from option_baskets.adapters.facts import load
    from option_baskets.cli.client.connection import connected
    from option_baskets.cli.client.pushing import Push, told
    from option_baskets.cli.replaying import read_baskets

    read = read_baskets(files, load(facts))

    async def work() -> None:
        async with connected(server) as api:
            push = Push(api=api, files=read, tell=click.echo)
            await push.look()
            if not push.steps:
                click.echo(f"nothing to change at {api.server}")
                return
            if dry_run:
                for step in push.steps:
                    click.echo("\n".join(told(step)))
                click.echo(f"{len(push.steps)} to change at {api.server}; nothing was")
                return
            await push.carry_out()
            click.echo(f"{api.server} has the plans of {', '.join(str(each) for each in files)}")

    asyncio.run(work())
