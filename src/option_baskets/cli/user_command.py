"""``baskets user``: who may log in, for who has the data folder."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from option_baskets.cli.kill_options import data_folder

if TYPE_CHECKING:
    from option_baskets.adapters.identity.roster import Roster

T = TypeVar("T")
_email = click.argument("email")


@click.group("user")
def command() -> None:
    """Who may log in at the API: in the data folder, also while baskets serve runs there. It takes effect at once.

    A password is asked for, or read as one line from standard input; it is never an argument, which others could see.
    """


@command.command("add")
@_email
@click.option("--admin", is_flag=True, help="May do what only admins may.")
@click.option("--local", is_flag=True, help="Owns what baskets run and serve have from files: their plans and history.")
@data_folder
def add(email: str, admin: bool, local: bool, data: Path) -> None:
    """Make a user.

    \b
    Examples:
      baskets user add asha@example.org
      baskets user add asha@example.org --admin --local --data /var/lib/baskets
      echo "correct horse battery staple" | baskets user add asha@example.org
    """
    from option_baskets.ports import Role
    from option_baskets.wiring import LOCAL_USER

    password = _asked_password()
    role = Role.ADMIN if admin else Role.USER
    partition = LOCAL_USER if local else None
    user = _done(data, lambda roster: roster.add(email, password, role=role, user_id=partition), may_be_new=True)
    click.echo(f"{user.email} may log in, as {user.role} {user.id}")


@command.command("list")
@data_folder
def list_users(data: Path) -> None:
    """Show everybody, by email."""
    from rich.table import Table

    from option_baskets.cli.terminal import terminal

    users = _done(data, lambda roster: roster.users())
    table = Table("email", "id", "role", "second factor", "may log in", "since (UTC)")
    for user in users:
        factor = "yes" if user.factor is not None and user.factor.confirmed else "no"
        since = f"{user.created_at:%Y-%m-%d %H:%M}"
        table.add_row(user.email, user.id, user.role, factor, "no" if user.disabled else "yes", since)
    terminal().print(table)


@command.command("role")
@_email
@click.argument("role", type=click.Choice(["user", "admin"]))
@data_folder
def set_role(email: str, role: str, data: Path) -> None:
    """Make somebody a user or an admin."""
    from option_baskets.ports import Role

    user = _done(data, lambda roster: roster.set_role(email, Role(role)))
    click.echo(f"{user.email} is {user.role}")


@command.command("password")
@_email
@data_folder
def set_password(email: str, data: Path) -> None:
    """Give somebody a new password, end every login of theirs, and forget failed attempts.

    \b
    Example:
      baskets user password asha@example.org
    """
    password = _asked_password()
    user = _done(data, lambda roster: roster.set_password(email, password))
    click.echo(f"{user.email} has a new password; every login has ended")


@command.command("remove-second-factor")
@_email
@data_folder
def remove_second_factor(email: str, data: Path) -> None:
    """Ask somebody who lost theirs for no code any more."""
    user = _done(data, lambda roster: roster.remove_second_factor(email))
    click.echo(f"{user.email} logs in with the password alone")


@command.command("disable")
@_email
@data_folder
def disable(email: str, data: Path) -> None:
    """End every login of somebody and let no new one begin.

    What trades goes on; baskets kill stops it.
    """
    user = _done(data, lambda roster: roster.disable(email))
    click.echo(f"{user.email} may not log in; every login has ended")


@command.command("enable")
@_email
@data_folder
def enable(email: str, data: Path) -> None:
    """Let somebody log in: who was disabled, or who registered where registration needs approval."""
    user = _done(data, lambda roster: roster.enable(email))
    click.echo(f"{user.email} may log in")


@command.command("rotate-key")
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_KEYS",
    help="Where the key files are (or OPTION_BASKETS_KEYS). Default: DATA/keys.",
)
@click.option("--forget", is_flag=True, help="Refuse at once what older keys signed, e.g. where one was seen.")
@data_folder
def rotate_key(keys: Path | None, forget: bool, data: Path) -> None:
    """Sign access tokens with a new key from now on. Logins go on: their refresh tokens need no key."""
    from option_baskets.adapters.clock import RealClock
    from option_baskets.adapters.identity.keyring import FILE, TokenKeys
    from option_baskets.domain.errors import NotFound
    from option_baskets.entrance import KEYS_FOLDER

    folder = keys or data / KEYS_FOLDER
    if not (folder / FILE).is_file():
        raise NotFound(f"there is no {FILE} in {folder}; name the folder that was given to baskets serve as --keys")
    now = RealClock().now()
    key = TokenKeys.open(folder, now=now).rotate(now=now, forget=forget)
    click.echo(f"access tokens are signed by key {key.id} from now on")


def _asked_password() -> str:
    """From the terminal without showing it, or a line of standard input."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _done(data: Path, what: Callable[["Roster"], Awaitable[T]], *, may_be_new: bool = False) -> T:
    """What is done to the users of a data folder.

    Raises:
        NotFound: nobody ever was a user there.
        Invalid: the folder cannot be made.
    """
    from option_baskets.domain.errors import Invalid, NotFound
    from option_baskets.entrance import IDENTITY_FILE

    path = data / IDENTITY_FILE
    if not may_be_new and not path.is_file():
        raise NotFound(f"there are no users in {data}; baskets user add makes one, or give another --data folder")
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"{data} cannot be made: {error.strerror}", where="--data") from error

    async def work() -> T:
        async with _roster(path) as roster:
            return await what(roster)

    return asyncio.run(work())


@contextlib.asynccontextmanager
async def _roster(path: Path) -> AsyncIterator["Roster"]:
    from option_baskets.adapters.clock import RealClock
    from option_baskets.adapters.embedded.table import SqliteTable
    from option_baskets.adapters.identity.passwords import Hashing
    from option_baskets.adapters.identity.roster import Roster
    from option_baskets.store.people import People

    clock = RealClock()
    table = SqliteTable.open(path, now=clock.now)
    hashing = Hashing()
    try:
        yield Roster(People(table), hashing, clock)
    finally:
        hashing.close()
        await table.close()
