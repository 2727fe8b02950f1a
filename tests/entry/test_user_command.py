"""``baskets user``: on a data folder, as a service that has it open sees it."""

import asyncio
import os
import pty
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pyotp
import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.identity.passwords import Cost
from option_baskets.adapters.identity.terms import Registration, Terms
from option_baskets.cli import main
from option_baskets.domain.errors import TooMany, Unauthenticated
from option_baskets.entrance import IDENTITY_FILE, Entrance
from option_baskets.ports import Role
from option_baskets.wiring import LOCAL_USER

T = TypeVar("T")

EMAIL = "asha@example.org"
PASSWORD = "correct horse battery staple"
OTHER = "four words of another kind"
HERE = "203.0.113.7"
TERMS = Terms(cost=Cost(memory=64), registration=Registration.APPROVED)


def user(data: Path, *words: str, typed: str = "") -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["user", *words, "--data", str(data)], input=typed)


def done(data: Path, *words: str, typed: str = "") -> str:
    result = user(data, *words, typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


def served(data: Path, ask: Callable[[Entrance], Awaitable[T]]) -> T:
    """What the login service of the folder answers."""

    async def work() -> T:
        entrance = await Entrance.open(data, wall=RealClock(), terms=TERMS)
        try:
            return await ask(entrance)
        finally:
            await entrance.close()

    return asyncio.run(work())


async def logged_in(entrance: Entrance, password: str = PASSWORD) -> tuple[str, Role]:
    tokens = await entrance.sign_in.login(EMAIL, password, code="", client=HERE)
    principal = await entrance.sign_in.verify(tokens.access_token)
    return principal.user_id, principal.role


def test_a_user_that_was_added_logs_in_in_the_partition_of_the_command_line(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    printed = done(data, "add", EMAIL, "--admin", "--local", typed=f"{PASSWORD}\n")
    assert PASSWORD not in printed
    assert served(data, logged_in) == (LOCAL_USER, Role.ADMIN)
    assert "local has a login already" in user(data, "add", "b@example.org", "--local", typed=PASSWORD).output


def test_a_user_without_options_is_an_ordinary_one_in_a_partition_of_its_own(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)
    user_id, role = served(tmp_path, logged_in)
    assert (user_id[0], role) == ("u", Role.USER)
    assert user_id in done(tmp_path, "list")


def test_what_cannot_be_a_user_is_said_in_full(tmp_path: Path) -> None:
    result = user(tmp_path, "add", "no email", typed="short\n")
    assert result.exit_code == 1
    assert "email: is no email address" in result.output
    assert "at least 15 are needed" in result.output


def test_no_password_is_taken_from_the_command_line(tmp_path: Path) -> None:
    for name in ("add", "password"):
        assert user(tmp_path, name, EMAIL, PASSWORD).exit_code == 2
        assert user(tmp_path, name, EMAIL, "--password", PASSWORD).exit_code == 2
    assert not (tmp_path / IDENTITY_FILE).exists()


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-c", "from option_baskets.cli import main; main()", "user", "add", EMAIL]
    with subprocess.Popen(
        [*line, "--data", str(tmp_path)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = ""
        for prompt in ("Password: ", "Repeat for confirmation: "):
            shown += until(ours, prompt)
            os.write(ours, f"{PASSWORD}\n".encode())
        shown += until(ours, "may log in")
        assert process.wait(30) == 0
    os.close(ours)
    assert PASSWORD not in shown
    assert served(tmp_path, logged_in)


def until(terminal: int, text: str) -> str:
    """What a terminal shows up to a text."""
    shown = ""
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, f"{text!r} does not come after {shown!r}"
        shown += os.read(terminal, 1000).decode()
    return shown


def test_a_change_ends_logins_of_a_service_that_is_running(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)

    async def changed(entrance: Entrance) -> None:
        tokens = await entrance.sign_in.login(EMAIL, PASSWORD, code="", client=HERE)
        await asyncio.to_thread(done, tmp_path, "role", EMAIL, "admin")
        assert (await entrance.sign_in.verify(tokens.access_token)).role is Role.ADMIN
        await asyncio.to_thread(done, tmp_path, "disable", EMAIL)
        for refused in (
            entrance.sign_in.verify(tokens.access_token),
            entrance.sign_in.refresh(tokens.refresh_token),
            logged_in(entrance),
        ):
            with pytest.raises(Unauthenticated):
                await refused
        await asyncio.to_thread(done, tmp_path, "enable", EMAIL)
        with pytest.raises(Unauthenticated):
            await entrance.sign_in.verify(tokens.access_token)
        assert await logged_in(entrance)

    served(tmp_path, changed)


def test_who_registered_is_let_in_by_enable(tmp_path: Path) -> None:
    async def register(entrance: Entrance) -> None:
        await entrance.sign_in.register(EMAIL, PASSWORD, client=HERE)
        with pytest.raises(Unauthenticated):
            await logged_in(entrance)

    served(tmp_path, register)
    listed = done(tmp_path, "list")
    assert EMAIL in listed
    assert " no " in listed.split(EMAIL)[1].split("│")[4]
    done(tmp_path, "enable", EMAIL)
    assert served(tmp_path, logged_in)


def test_a_new_password_lets_in_who_was_locked_out_and_the_old_one_nobody(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)

    async def locked(entrance: Entrance) -> None:
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                await logged_in(entrance, OTHER)
        with pytest.raises(TooMany):
            await logged_in(entrance)
        await asyncio.to_thread(done, tmp_path, "password", EMAIL, typed=OTHER)
        assert await logged_in(entrance, OTHER)
        with pytest.raises(Unauthenticated):
            await logged_in(entrance)

    served(tmp_path, locked)


def test_a_lost_second_factor_is_removed(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)

    async def enrol(entrance: Entrance) -> None:
        tokens = await entrance.sign_in.login(EMAIL, PASSWORD, code="", client=HERE)
        principal = await entrance.sign_in.verify(tokens.access_token)
        totp = pyotp.TOTP((await entrance.sign_in.enrol(principal, password=PASSWORD)).secret)
        await entrance.sign_in.confirm(principal, code=totp.at(entrance.wall.now()))
        with pytest.raises(Unauthenticated):
            await logged_in(entrance)

    served(tmp_path, enrol)
    done(tmp_path, "remove-second-factor", EMAIL)
    assert served(tmp_path, logged_in)


def test_a_new_key_signs_and_a_forgotten_one_proves_nothing_at_once(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)

    async def rotated(entrance: Entrance) -> None:
        tokens = await entrance.sign_in.login(EMAIL, PASSWORD, code="", client=HERE)
        await asyncio.to_thread(done, tmp_path, "rotate-key")
        assert await entrance.sign_in.verify(tokens.access_token)
        await asyncio.to_thread(done, tmp_path, "rotate-key", "--forget")
        with pytest.raises(Unauthenticated):
            await entrance.sign_in.verify(tokens.access_token)
        assert await entrance.sign_in.refresh(tokens.refresh_token)

    served(tmp_path, rotated)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list",), "there are no users in"),
        (("disable", EMAIL), "there are no users in"),
        (("rotate-key",), "there is no tokens.json in"),
    ],
)
def test_a_folder_without_users_says_so_and_stays_as_it_is(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = user(tmp_path, *words)
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_is_not_there_is_named_and_nobody_is_made(tmp_path: Path) -> None:
    done(tmp_path, "add", EMAIL, typed=PASSWORD)
    for words in (("role", "b@example.org", "admin"), ("disable", "b@example.org"), ("enable", "b@example.org")):
        assert "there is no user b@example.org" in user(tmp_path, *words).output
    assert "b@example.org" not in done(tmp_path, "list")
