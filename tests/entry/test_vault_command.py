"""``baskets vault``: a new key while a server runs, a rotation killed in the middle, a key that is lost."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.adapters.vault import KEY_FILE, KeyFileVault
from option_baskets.cli import main
from option_baskets.entrance import IDENTITY_FILE
from option_baskets.store.secrets import Secrets
from tests.contract.test_vault import MADE, vault_in
from tests.entry.served import PASSWORD, Server, served  # noqa: F401
from tests.entry.test_broker_accounts import KITE, PATH, ZERODHA, opened

COUNT = 3


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["vault", *(str(argument) for argument in arguments)])
    return result.exit_code, result.output


def keys_in(data: Path) -> KeyFileVault:
    return vault_in(data / "keys")


async def _fill(data: Path) -> None:
    table = SqliteTable.open(data / IDENTITY_FILE, now=lambda: MADE, durable=False)
    secrets = Secrets(table, keys_in(data))
    for number in range(COUNT):
        await secrets.save_secret(f"user-{number}", "zerodha-1", KITE | {"api_key": f"key-{number}"}, at=MADE)
    await table.close()


async def _read(data: Path) -> list[tuple[str, bool]]:
    """Every user's API key, opened, and whether the newest key seals it."""
    vault = keys_in(data)
    table = SqliteTable.open(data / IDENTITY_FILE, now=lambda: MADE, durable=False)
    secrets = Secrets(table, vault)
    found = []
    for each in await secrets.all_sealed():
        user = each.owner.split("/")[0]
        found.append(
            (f"{user} {(await secrets.open_secret(user, 'zerodha-1'))['api_key']}", vault.is_current(each.sealed))
        )
    await table.close()
    return found


def filled(data: Path) -> Path:
    data.mkdir()
    asyncio.run(_fill(data))
    return data


def read(data: Path) -> list[tuple[str, bool]]:
    return asyncio.run(_read(data))


def test_a_new_key_seals_everything_and_the_old_one_stays(tmp_path: Path) -> None:
    data = filled(tmp_path / "data")
    before = read(data)
    (old,) = keys_in(data).known_keys()
    code, output = run("rotate", "--data", data)
    new, kept = keys_in(data).known_keys()
    assert (code, kept) == (0, old)
    assert (
        output
        == f"key {new.name.hex()} made; 3 secrets sealed anew\ncopy {data}/keys/{KEY_FILE} to where its copies are\n"
    )
    assert read(data) == before
    code, output = run("status", "--data", data)
    assert (code, output.splitlines()[0]) == (0, f"{data}/keys/{KEY_FILE}")
    assert [re.sub(r"made .* UTC", "made", line.strip()) for line in output.splitlines()[1:]] == [
        f"{new.name.hex()}  made  seals 3 secrets, the newest",
        f"{old.name.hex()}  made  seals 0 secrets",
    ]
    assert KITE["api_secret"] not in output


def test_keys_elsewhere_are_found_by_option_and_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = filled(tmp_path / "data")
    elsewhere = (data / "keys").rename(tmp_path / "elsewhere")
    code, output = run("rotate", "--data", data)
    assert (code, "there is no key in" in output, "given to baskets serve as --keys" in output) == (1, True, True)
    assert not (data / "keys").exists()
    assert run("rotate", "--data", data, "--keys", elsewhere)[0] == 0
    monkeypatch.setenv("OPTION_BASKETS_KEYS", str(elsewhere))
    assert run("rotate", "--data", data)[0] == 0
    assert len(vault_in(elsewhere).known_keys()) == 3


DYING = """
import os, signal, sys
from option_baskets.adapters.embedded.table import SqliteTable
from option_baskets.cli import main
commit, left = SqliteTable.commit, int(sys.argv.pop(1))
async def dying(table, writes):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    await commit(table, writes)
SqliteTable.commit = dying
main()
"""
"""The command, killed when it has made so many commits."""


@pytest.mark.parametrize("commits", range(COUNT))
def test_a_rotation_that_was_killed_is_finished_by_the_next_without_another_key(tmp_path: Path, commits: int) -> None:
    data = filled(tmp_path / "data")
    before = [name for name, _ in read(data)]
    command = [sys.executable, "-c", DYING, str(commits), "vault", "rotate", "--data", str(data)]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(keys_in(data).known_keys()) == 2
    found = read(data)
    assert [name for name, _ in found] == before
    assert [is_current for _, is_current in found].count(True) == commits
    code, output = run("rotate", "--data", data)
    left = COUNT - commits
    said = f"a rotation that was cut off is finished: {left} secret{'s' * (left > 1)} sealed anew, no new key"
    assert (code, output.splitlines()[0]) == (0, said)
    assert len(keys_in(data).known_keys()) == 2
    assert read(data) == [(name, True) for name in before]
    assert run("rotate", "--data", data)[0] == 0
    assert len(keys_in(data).known_keys()) == 3


def test_a_running_server_opens_and_seals_by_the_new_key_at_once(served: Server) -> None:  # noqa: F811
    ann = served.user("ann@example.org")
    assert ann.http.post(PATH, json=ZERODHA).status_code == 201
    factor = ann.http.post("/auth/totp", json={"password": PASSWORD})
    assert factor.is_success, factor.text
    code, output = run("rotate", "--data", served.data)
    assert (code, "2 secrets sealed anew" in output) == (0, True), output
    assert opened(served, ann, "zerodha-1") == KITE
    assert ann.http.post(PATH, json=ZERODHA | {"id": "zerodha-2"}).status_code == 201
    code, output = run("status", "--data", served.data)
    assert "seals 3 secrets, the newest" in output


def test_secrets_whose_key_is_lost_are_named_and_the_others_are_sealed_anew(tmp_path: Path) -> None:
    data = filled(tmp_path / "data")
    path = keys_in(data).path
    path.rename(tmp_path / "lost")
    asyncio.run(_fill_one_more(data))
    code, output = run("rotate", "--data", data)
    assert code == 1
    assert "made; 1 secret sealed anew, but 3 secrets could not be:" in output
    assert "  user-2/ACCOUNT#zerodha-1: what is sealed for user-2/ACCOUNT#zerodha-1 was sealed by the key" in output
    assert "is not in the file, and seals 3 secrets" in run("status", "--data", data)[1]


async def _fill_one_more(data: Path) -> None:
    table = SqliteTable.open(data / IDENTITY_FILE, now=lambda: MADE, durable=False)
    await Secrets(table, keys_in(data)).save_secret("late", "zerodha-1", KITE, at=MADE)
    await table.close()


def test_a_folder_without_users_and_a_key_file_others_may_read_say_what_to_do(tmp_path: Path) -> None:
    code, output = run("status", "--data", tmp_path)
    assert (code, "there are no users and no secrets" in output) == (1, True)
    data = filled(tmp_path / "data")
    keys_in(data).path.chmod(0o644)
    for command in ("rotate", "status"):
        code, output = run(command, "--data", data)
        assert (code, "chmod 600" in output) == (1, True)
