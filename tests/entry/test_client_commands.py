"""The commands against a real server: logins, pushes, every operation by its name, and a whole day by script."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import click
import httpx
import pyotp
import pytest
from click.testing import CliRunner, Result

from option_baskets.adapters.basket_file import BasketFile, load_basket_file
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.templates import templates
from option_baskets.cli import main
from option_baskets.cli.api_command import command_of
from option_baskets.cli.client.connection import Connection, connected
from option_baskets.cli.client.differences import differences
from option_baskets.cli.client.following import line_of
from option_baskets.cli.client.logins import Login, Logins, server_of
from option_baskets.cli.client.operations import operations
from option_baskets.cli.client.pushing import Push
from option_baskets.cli.running import Speed
from option_baskets.domain.errors import Conflict, Invalid, Unauthenticated, Unavailable
from option_baskets.domain.session import IST
from option_baskets.wiring import LOCAL_USER
from tests.entry.served import FACTS, PASSWORD, Person, Server, serve, served  # noqa: F401

ROOT = Path(__file__).parent.parent.parent
EMAIL = "ann@example.org"
STRADDLE = (ROOT / "examples" / "straddle-0920.toml").read_text(encoding="utf-8")
LATER = STRADDLE.replace('"09:20"', '"11:00"')
"""Due so late that at 09:15 no run of it is claimed."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Somebody at a terminal of their own, with a server to ask."""

    server: Server
    home: Path
    person: Person

    @property
    def environment(self) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(self.home), "OPTION_BASKETS_SERVER": self.server.url, "COLUMNS": "200"}

    @property
    def logins(self) -> Logins:
        return Logins(folder=self.home / "option-baskets" / "logins")

    @property
    def login(self) -> Login:
        found = self.logins.get(self.server.url)
        assert found is not None
        return found

    @property
    def kept(self) -> Path:
        (path,) = self.logins.folder.glob("*.json")
        return path

    def types(self, *words: object, asks: str = "", **variables: str) -> Result:
        runner = CliRunner(env=self.environment | variables)
        return runner.invoke(main, [str(word) for word in words], input=asks, catch_exceptions=False)

    def does(self, *words: object, asks: str = "", **variables: str) -> str:
        """What a command prints that succeeds."""
        result = self.types(*words, asks=asks, **variables)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, *words: object, asks: str = "", **variables: str) -> str:
        """What a command says that does not, as one line."""
        result = self.types(*words, asks=asks, **variables)
        assert result.exit_code == 1, result.output
        assert "Error: " in result.stderr
        return " ".join(result.stderr.split())

    def logs_in(self) -> "Desk":
        self.does("login", self.person.email, asks=f"{PASSWORD}\n")
        return self

    def api(self, *words: object) -> Any:
        return json.loads(self.does("api", *words))

    def waits(self, *words: object, until: Callable[[], Coroutine[Any, Any, object]]) -> Result:
        """A command that waits for the engine; the market goes on once what it asks for is stored."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.types, *words)
            for _ in range(20_000):
                if running.done() or self.server.ask(until):
                    break
            for _ in range(600):
                if running.done():
                    break
                self.server.later(timedelta(seconds=1))
            return running.result(60)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For whoever needs no time to pass."""
    with serve(tmp_path_factory.mktemp("standing") / "data") as server:
        yield server


@pytest.fixture
def desk(standing: Server, tmp_path: Path) -> Desk:
    """Of another user every time."""
    person = standing.user(f"number-{len(standing.people)}@example.org")
    return Desk(server=standing, home=tmp_path / "home", person=person)


@pytest.fixture
def trader(served: Server, tmp_path: Path) -> Desk:  # noqa: F811
    """Logged in at a server whose market the test leads on."""
    return Desk(server=served, home=tmp_path / "home", person=served.user(EMAIL)).logs_in()


def file_of(folder: Path, text: str, name: str = "plan") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- logins


def test_a_login_is_kept_for_its_owner_alone_and_without_the_password(desk: Desk) -> None:
    said = desk.does("login", desk.person.email, asks=f"{PASSWORD}\n")
    assert said == f"{desk.person.email} is logged in at {desk.server.url}\n"
    assert stat.S_IMODE(desk.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.kept.parent.stat().st_mode) == 0o700
    assert PASSWORD not in desk.kept.read_text(encoding="utf-8")
    assert desk.api("get_me")["email"] == desk.person.email
    assert desk.login.access_token not in repr(desk.login)


def test_a_wrong_password_is_an_error_and_keeps_nothing(desk: Desk) -> None:
    assert "the password or the code is not right" in desk.fails("login", desk.person.email, asks="not the password\n")
    assert not list(desk.logins.folder.glob("*.json"))
    assert f"nobody is logged in at {desk.server.url}: baskets login" in desk.fails("status")


def test_a_second_factor_is_asked_for(desk: Desk) -> None:
    desk.logs_in()
    enrolled = desk.api("enrol_totp", "--body", json.dumps({"password": PASSWORD}))
    now = pyotp.TOTP(enrolled["secret"]).now()
    codes = desk.api("confirm_totp", "--body", json.dumps({"code": now}))["recovery_codes"]
    assert "the code is not right" in desk.fails("login", desk.person.email, asks=f"{PASSWORD}\n")
    desk.does("login", desk.person.email, "--second-factor", asks=f"{PASSWORD}\n{codes[0]}\n")
    assert desk.api("get_me")["email"] == desk.person.email


def test_after_a_logout_the_tokens_are_refused_and_the_file_is_gone(desk: Desk) -> None:
    token = desk.logs_in().login.access_token
    assert desk.does("logout") == f"logged out at {desk.server.url}\n"
    assert not list(desk.logins.folder.glob("*.json"))
    refused = desk.server.http.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 401
    assert "nobody is logged in" in desk.fails("logout")


def test_an_access_token_that_has_expired_is_renewed_and_kept(desk: Desk) -> None:
    before = desk.logs_in().login
    desk.logins.keep(replace(before, expires_at=datetime.now(UTC)))
    assert desk.api("get_me")["email"] == desk.person.email
    assert desk.login.refresh_token != before.refresh_token
    assert desk.login.expires_at > datetime.now(UTC) + timedelta(minutes=10)


def test_a_refused_access_token_is_renewed_and_asked_with_once_more(desk: Desk) -> None:
    before = desk.logs_in().login
    desk.logins.keep(replace(before, access_token="nobody's"))
    made = desk.api("create_basket", "--body", '{"name": "Income", "capital": 500000}')
    assert made["id"] == "income"
    assert desk.login.refresh_token != before.refresh_token


def test_commands_that_renew_at_the_same_time_do_not_end_the_login(desk: Desk) -> None:
    """A refresh token that comes twice ends its login, so one renews and the others take what it got."""
    expired = replace(desk.logs_in().login, expires_at=datetime.now(UTC))
    desk.logins.keep(expired)

    async def one() -> str:
        async with httpx.AsyncClient(base_url=desk.server.url) as http:
            return await Connection(
                server=desk.server.url, logins=desk.logins, clock=RealClock(), token="", http=http
            ).access_token()

    with ThreadPoolExecutor(4) as pool:
        tokens = {each.result(30) for each in [pool.submit(lambda: asyncio.run(one())) for _ in range(4)]}
    assert tokens == {desk.login.access_token}
    assert desk.api("get_me")["email"] == desk.person.email


def test_a_login_that_is_over_says_how_to_log_in_and_is_forgotten(desk: Desk) -> None:
    login = desk.logs_in().login
    ended = {"Authorization": f"Bearer {login.access_token}"}
    assert desk.server.http.post("/auth/logout", headers=ended).status_code == 204
    said = desk.fails("status")
    assert f"the login at {desk.server.url} is over: baskets login --server {desk.server.url}" in said
    assert desk.logins.get(desk.server.url) is None


def test_a_login_that_others_can_read_is_refused(desk: Desk) -> None:
    desk.logs_in().kept.chmod(0o644)
    assert "others can read" in desk.fails("status")


def test_a_login_file_that_is_damaged_is_named(desk: Desk) -> None:
    desk.logs_in().kept.write_text("{", encoding="utf-8")
    assert "delete it and log in anew" in desk.fails("status")


def test_a_script_may_bring_its_own_token_and_nothing_is_kept(desk: Desk) -> None:
    variables = {"OPTION_BASKETS_TOKEN": desk.person.token}
    assert json.loads(desk.does("api", "get_me", **variables))["email"] == desk.person.email
    assert not desk.logins.folder.exists()
    assert "Error" in desk.fails("api", "get_me", OPTION_BASKETS_TOKEN="nobody's")


def test_where_nobody_listens_or_something_else_does_it_is_said(desk: Desk) -> None:
    assert "nobody answers at http://127.0.0.1:9" in desk.fails("api", "--list", "--server", "http://127.0.0.1:9")
    wrong = f"{desk.server.url}/elsewhere"
    assert "nothing at this path" in desk.fails("api", "--list", "--server", wrong)


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "ftp://here", "http://", "http://a?b=c", "http://me:pw@here", ""])
def test_what_is_no_address_of_a_server_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="give one like"):
        server_of(text)


def test_addresses_that_mean_one_server_share_its_login() -> None:
    assert server_of("HTTP://Baskets.Example.org/ ") == server_of("http://baskets.example.org")
    assert server_of("https://example.org/api/") == "https://example.org/api"


# ---------------------------------------------------------------- every operation


def test_every_operation_of_the_document_is_listed_and_has_help_made_from_it(desk: Desk) -> None:
    known = list(operations(desk.server.http.get("/openapi.json").json()))
    listed = {line.split()[0] for line in desk.does("api", "--list").splitlines()[2:]}
    assert listed == {each.id for each in known}
    assert len(known) > 60
    for each in known:
        made = command_of(each)
        told = " ".join(made.get_help(click.Context(made)).split())
        assert f"{each.method} {each.path}" in told
        assert each.summary in told
        assert all(f"{parameter.option} " in told for parameter in each.parameters)
        assert ("--body" in told) is each.takes_body
    shown = desk.does("api", "create_basket", "--help")
    assert "POST /options/baskets" in shown
    assert '"capital": ' in shown, "an example of the body"


def test_an_operation_is_asked_with_its_path_query_headers_and_body(desk: Desk, tmp_path: Path) -> None:
    desk.logs_in()
    made = desk.api("create-basket", "--idempotency-key", "one", "--body", '{"name": "Income", "capital": 500000.25}')
    again = desk.api("create_basket", "--idempotency-key", "one", "--body", '{"name": "Income", "capital": 500000.25}')
    assert made == again
    assert '"capital": 500000.25' in desk.does("api", "get_basket", "--basket-id", made["id"])
    changed = tmp_path / "basket.json"
    changed.write_text('{"name": "Income", "capital": 600000}', encoding="utf-8")
    with_etag = desk.does("api", "get_basket", "--basket-id", made["id"], "-i")
    assert with_etag.startswith("200 OK\n")
    assert 'etag: "1"' in with_etag
    how = ("api", "replace_basket", "--basket-id", made["id"], "--body", f"@{changed}")
    assert "Missing option '--if-match'" in desk.types(*how).stderr
    assert json.loads(desk.does(*how, "--if-match", '"1"'))["version"] == 2
    assert "changed meanwhile" in desk.fails(*how, "--if-match", '"1"')
    from_stdin = ("api", "replace_basket", "--basket-id", made["id"], "--if-match", '"2"', "--body", "-")
    assert json.loads(desk.does(*from_stdin, asks='{"name": "Income", "capital": 7}'))["capital"] == 7
    assert desk.does("api", "delete_basket", "--basket-id", made["id"], "--if-match", "*") == ""


def test_all_pages_of_a_list_come_as_lines(desk: Desk) -> None:
    desk.logs_in()
    for number in range(5):
        desk.api("create_basket", "--body", json.dumps({"name": f"b{number}", "capital": 1000.5}))
    lines = desk.does("api", "list_baskets", "--limit", 2, "--all").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"b{number}" for number in range(5)]
    assert '"capital":1000.5' in lines[0]


def test_what_is_wrong_is_told_by_field_as_the_other_commands_tell_it(desk: Desk) -> None:
    result = desk.logs_in().types("api", "create_basket", "--body", '{"name": "Income", "mode": "reel"}')
    assert result.exit_code == 1
    first, *rest = result.stderr.splitlines()
    assert first.startswith("Error: ")
    assert {line.removeprefix("Error: ").partition(":")[0] for line in (first, *rest)} == {"capital", "mode"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name an OPERATION"),
        (("list_basket",), "do you mean list_baskets"),
        (("get_basket", "--basket-id", "none"), "there is no such basket"),
        (("create_basket", "--body", "@/not/there"), "cannot be read"),
        (("create_basket", "--body", "{"), "the body is not JSON"),
    ],
)
def test_what_cannot_be_asked_is_said(desk: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in desk.logs_in().fails("api", *words)


def test_an_option_that_is_missing_is_an_error_of_use(desk: Desk) -> None:
    result = desk.logs_in().types("api", "get_basket")
    assert result.exit_code == 2
    assert "Missing option '--basket-id'" in result.stderr


def test_too_many_requests_wait_as_long_as_they_are_asked_to(desk: Desk) -> None:
    """Two hundred and five at once are more than a burst of two hundred."""
    logged_in = desk.logs_in()

    async def many() -> list[Any]:
        async with httpx.AsyncClient(base_url=desk.server.url, timeout=60) as http:
            api = Connection(
                server=desk.server.url, logins=logged_in.logins, clock=RealClock(), token=desk.person.token, http=http
            )
            return await asyncio.gather(*(api.get("/options/limits") for _ in range(205)))

    assert len(asyncio.run(many())) == 205


# ---------------------------------------------------------------- pushing


def stored(desk: Desk, file: BasketFile) -> tuple[Any, ...]:
    """The plans of a file as the server has them, without their versions."""
    books, user = desk.server.platform.books, desk.person.id

    async def read() -> tuple[Any, ...]:
        basket = await books.basket(user, file.basket.id)
        assert basket is not None
        strategies = await books.strategies(user, file.basket.id)
        allocations = [each for one in strategies for each in await books.current_allocations(user, one.id)]
        return (
            replace(basket, version=0),
            sorted((replace(each, version=0) for each in strategies), key=lambda each: each.id),
            sorted((replace(each, version=0) for each in allocations), key=lambda each: each.id),
        )

    return desk.server.ask(read)


def said_by(file: BasketFile) -> tuple[Any, ...]:
    return (
        file.basket,
        sorted(file.strategies, key=lambda each: each.id),
        sorted(file.allocations, key=lambda each: each.id),
    )


def read(path: Path) -> BasketFile:
    return load_basket_file(path, FACTS.names)


def test_the_server_has_what_the_files_say_and_a_second_push_changes_nothing(desk: Desk) -> None:
    files = sorted((ROOT / "examples").glob("*.toml"))
    assert len(files) > 3
    said = desk.logs_in().does("push", *files)
    assert "+ strategy straddle.0920-straddle\n    2 legs, on zerodha-1" in said
    for path in files:
        assert stored(desk, read(path)) == said_by(read(path)), path.name
    assert desk.does("push", *files) == f"nothing to change at {desk.server.url}\n"


def test_templates_are_pushed_as_they_are(desk: Desk, tmp_path: Path) -> None:
    names = [each.name for each in templates()]
    assert len(names) > 50
    desk.logs_in()
    for name in names[:: len(names) // 8]:
        path = tmp_path / f"{name}.toml"
        desk.does("new", name, "--out", path)
        desk.does("push", path)
        assert stored(desk, read(path)) == said_by(read(path)), name


def test_what_changes_is_shown_and_with_dry_run_nothing_does(desk: Desk, tmp_path: Path) -> None:
    path = file_of(tmp_path, LATER)
    desk.logs_in().does("push", path)
    before = read(path)
    changed = LATER.replace('"15:15"', '"15:10"').replace("lots = 2", "lots = 3").replace("500000", "500000.5")
    file_of(tmp_path, changed)
    lines = desk.does("push", path, "--dry-run").splitlines()
    assert lines == [
        "~ basket straddle",
        "    capital: 500000 -> 500000.5",
        "~ strategy straddle.0920-straddle",
        '    exit: "15:15" -> "15:10"',
        "~ allocation straddle.0920-straddle.zerodha-1",
        "    lots: 2 -> 3",
        f"3 to change at {desk.server.url}; nothing was",
    ]
    assert stored(desk, before) == said_by(before)
    assert desk.does("push", path).splitlines()[:-1] == lines[:-1]
    assert stored(desk, read(path)) == said_by(read(path))


def test_what_the_file_no_longer_has_goes_and_other_baskets_stay(desk: Desk, tmp_path: Path) -> None:
    three = ROOT / "examples" / "three-accounts.toml"
    straddle = ROOT / "examples" / "straddle-0920.toml"
    desk.logs_in().does("push", three, straddle)
    text = three.read_text(encoding="utf-8")
    first, *_, last = text.split("[[strategies]]")
    rest = file_of(tmp_path, first + "[[strategies]]" + last)
    said = desk.does("push", rest)
    assert said.count("- strategy three-accounts.") == 3
    assert stored(desk, read(rest)) == said_by(read(rest))
    assert stored(desk, read(straddle)) == said_by(read(straddle))


NAMED = """
format = 1
[basket]
name = "Named"
capital = 500000
[[accounts]]
id = "one"
[[strategies]]
name = "legs"
underlying = "NIFTY"
entry = "11:00"
exit = "15:00"
[[strategies.legs]]
id = "call"
side = "SELL"
type = "CE"
strike = { rule = "atm" }
[[strategies.legs]]
id = "put"
side = "SELL"
type = "PE"
strike = { rule = "atm" }
[[strategies.allocations]]
account = "one"
leg_lots = { call = 1, put = 2 }
"""


def test_a_leg_and_the_allocation_that_names_it_change_together(desk: Desk, tmp_path: Path) -> None:
    path = file_of(tmp_path, NAMED)
    desk.logs_in().does("push", path)
    file_of(tmp_path, NAMED.replace('"call"', '"upper"').replace("call = 1", "upper = 1"))
    said = desk.does("push", path)
    assert "- allocation named.legs.one" in said
    assert "+ allocation named.legs.one" in said
    assert stored(desk, read(path)) == said_by(read(path))
    assert "nothing to change" in desk.does("push", path)


def test_allocations_that_change_places_do(desk: Desk, tmp_path: Path) -> None:
    two = LATER.replace("[[accounts]]", '[[accounts]]\nid = "b"\n[[accounts]]', 1)
    lots = '\n[[strategies.allocations]]\naccount = "b"\nlots = 1\npriority = {}\n'
    path = file_of(tmp_path, two.replace("lots = 2", "lots = 2\npriority = 1") + lots.format(2))
    desk.logs_in().does("push", path)
    file_of(tmp_path, two.replace("lots = 2", "lots = 2\npriority = 2") + lots.format(1))
    desk.does("push", path)
    assert stored(desk, read(path)) == said_by(read(path))


def test_what_somebody_changed_meanwhile_is_not_overwritten(desk: Desk, tmp_path: Path) -> None:
    path = file_of(tmp_path, LATER)
    desk.logs_in().does("push", path)
    file = read(file_of(tmp_path, LATER.replace('"15:15"', '"15:10"')))

    async def between() -> None:
        async with httpx.AsyncClient(base_url=desk.server.url) as http:
            api = Connection(
                server=desk.server.url, logins=desk.logins, clock=RealClock(), token=desk.person.token, http=http
            )
            push = Push(api=api, files=[file], tell=lambda _: None)
            await push.look()
            await api.ask("POST", "/options/strategies/straddle.0920-straddle/pause")
            await push.carry_out()

    with pytest.raises(Conflict, match="changed meanwhile"):
        asyncio.run(between())
    assert desk.api("get_strategy", "--strategy-id", "straddle.0920-straddle")["exit"] == "15:15"


def test_files_are_checked_before_anybody_is_asked(desk: Desk, tmp_path: Path) -> None:
    said = desk.fails(
        "push", file_of(tmp_path, LATER.replace("atm", "otm")), OPTION_BASKETS_SERVER="http://nowhere.invalid"
    )
    assert "plan.toml:24: strategies[0].legs[0].strike.rule" in said


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (LATER, LATER, "two files have the basket straddle"),
        (
            LATER,
            LATER.replace('"Straddle"', '"Other"').replace('broker = "paper"', 'broker = "zerodha"'),
            "two files say different things of account zerodha-1",
        ),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    desk: Desk, tmp_path: Path, one: str, other: str, said: str
) -> None:
    files = file_of(tmp_path, one, "one"), file_of(tmp_path, other, "other")
    assert said in desk.logs_in().fails("push", *files)


def test_an_account_is_changed_but_never_moved_to_another_broker(desk: Desk, tmp_path: Path) -> None:
    path = file_of(tmp_path, LATER)
    desk.logs_in().does("push", path)
    file_of(tmp_path, LATER.replace('broker = "paper"', 'broker = "paper"\nmax_daily_loss = 20000.5'))
    assert "max_daily_loss: (none) -> 20000.5" in desk.does("push", path)
    assert "nothing to change" in desk.does("push", path)
    file_of(tmp_path, LATER.replace('broker = "paper"', 'broker = "zerodha"'))
    assert "is at paper on the server and at zerodha in the file" in desk.fails("push", path)


def test_a_difference_names_what_has_an_id_by_it() -> None:
    before = {"legs": [{"id": "call", "ratio": 1}], "days": ["MON"], "stop": {"percent": 25}}
    after = {"legs": [{"id": "call", "ratio": 2}], "days": ["MON", "TUE"], "exit": "15:00"}
    assert differences(before, after) == [
        "legs[call].ratio: 1 -> 2",
        "stop.percent: 25 -> (none)",
        'days[1]: (none) -> "TUE"',
        'exit: (none) -> "15:00"',
    ]


# ---------------------------------------------------------------- a day


def test_a_script_drives_a_day_from_the_file_to_the_audit(trader: Desk, tmp_path: Path) -> None:
    """Push, wait for the fill, look, kill, audit; and an edit that reaches the next entry only."""
    path = file_of(tmp_path, STRADDLE)
    trader.does("push", path)
    trader.server.until("09:20:05")
    (run,) = trader.api("list_executions", "--date", "2026-11-23")["items"]
    assert run["status"] == "ACTIVE"
    fills = trader.api("get_execution", "--run-id", run["id"])["fills"]
    assert len(fills) == 2

    screen = trader.does("status")
    assert "trading, 23-Nov 09:20:05" in screen
    for told in ("0920 straddle", run["id"], "active", "zerodha-1", "-130", "SELL NIFTY", "130 of 130", "no alerts"):
        assert told in screen, screen

    file_of(tmp_path, STRADDLE.replace('"15:15"', '"15:10"'))
    assert f"run {run['id']} goes on with version 1; this counts from the next entry" in trader.does("push", path)
    file_of(tmp_path, STRADDLE.split("[[strategies]]")[0] + STRADDLE_ELSEWHERE)
    in_use = trader.fails("push", path)
    assert f"used by run {run['id']}" in in_use

    books, me = trader.server.platform.books, trader.person.id
    words = ("kill", "--basket", "Straddle", "--reason", "enough")
    killed = trader.waits(*words, until=lambda: books.kills_of(me))
    assert killed.exit_code == 0, killed.output
    assert f"until baskets arm --basket straddle --server {trader.server.url}" in killed.stdout
    assert "zerodha-1: 2 open positions" in killed.stdout
    assert "flat: nothing is open" in killed.stdout
    assert "enough" in trader.does("kill", "--status")
    assert "basket straddle" in trader.does("status")
    assert "basket straddle is armed" in trader.does("arm", "--basket", "straddle")
    assert "nothing is killed" in trader.fails("arm", "--all")

    rows = json.loads(trader.does("audit", "--from", "2026-11-23", "--format", "json"))
    told = [row["what"] for row in rows]
    assert told.count("fill") == 4
    assert told.index("basket_saved") < told.index("entered") < told.index("killed") < told.index("armed")
    assert {row["actor"] for row in rows if row["what"] == "killed"} == {trader.person.id}
    only = trader.does(
        "audit", "--from", "2026-11-23", "--strategy", "0920 straddle", "--run", run["id"], "--format", "csv"
    )
    assert {line.split(",")[3] for line in only.splitlines()[1:]} == {"straddle.0920-straddle"}


STRADDLE_ELSEWHERE = """
[[strategies]]
name = "Another"
underlying = "NIFTY"
entry = "11:00"
exit = "15:00"
[[strategies.legs]]
side = "BUY"
type = "CE"
strike = { rule = "atm" }
[[strategies.allocations]]
account = "zerodha-1"
lots = 1
"""


def test_a_strategy_is_left_by_hand(trader: Desk, tmp_path: Path) -> None:
    trader.does("push", file_of(tmp_path, STRADDLE))
    assert "nothing of straddle.0920-straddle is open" in trader.does("exit", "--strategy", "0920 Straddle")
    trader.server.until("09:20:05")
    books, me = trader.server.platform.books, trader.person.id
    words = ("exit", "--strategy", "0920 straddle", "--reason", "results")
    left = trader.waits(*words, until=lambda: books.leave_of(me, "straddle.0920-straddle"))
    assert left.exit_code == 0, left.output
    assert "straddle.0920-straddle is left, by hand" in left.stdout
    assert "flat" in left.stdout
    (run,) = trader.api("list_executions")["items"]
    assert run["status"] == "CLOSED"


def test_outside_trading_hours_a_kill_says_that_nothing_is_closed_now(tmp_path: Path) -> None:
    friday_evening = datetime(2026, 11, 20, 18, 0, tzinfo=IST)
    wall = RealClock(1, friday_evening)
    with serve(tmp_path / "data", day=date(2026, 11, 19), speed=Speed("real"), wall=wall) as server:
        desk = Desk(server=server, home=tmp_path / "home", person=server.user(EMAIL))
        said = desk.does("kill", "--all", OPTION_BASKETS_TOKEN=desk.person.token)
    assert "everything is killed" in said
    assert "nothing is traded now (between_sessions): it is written, and done when trading goes on; flat" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kill",), "say what: one of"),
        (("kill", "--account", "nine"), "there is no account 'nine'"),
        (("kill", "--strategy", "nine"), "there is no strategy 'nine'; there are none at all"),
        (("arm", "--all"), "nothing is killed"),
        (("kill", "--all", "--direct"), "where the server runs"),
        (("kill", "--all", "--data", "x", "--server", "http://127.0.0.1:9"), "both a server and a data folder"),
        (("reconcile", "--server", "http://127.0.0.1:9"), "run it there, with --data"),
        (("audit", "--from", "2026-11-23", "--run", "nine"), "is no run"),
        (("status", "--json"), "is for --follow"),
    ],
)
def test_what_is_not_done_is_said(desk: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in desk.logs_in().fails(*words)


def test_what_is_typed_counts_before_variables(desk: Desk, tmp_path: Path) -> None:
    """A switch in the wrong place would be worse than none."""
    assert f"there are no books in {tmp_path}" in desk.fails("kill", "--all", "--data", tmp_path)
    assert "both a server and a data folder" in desk.fails("kill", "--all", OPTION_BASKETS_DATA=str(tmp_path))
    asked = desk.logs_in().does("kill", "--status", "--server", desk.server.url, OPTION_BASKETS_DATA=str(tmp_path))
    assert asked == "nothing is killed\n"


def test_the_audit_over_the_api_is_that_of_the_data_folder(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server:
        local = server.user(EMAIL, user_id=LOCAL_USER)
        desk = Desk(server=server, home=tmp_path / "home", person=local).logs_in()
        desk.does("push", file_of(tmp_path, STRADDLE.replace("percent = 25", "percent = 1")))
        server.until("15:20")
        there = [desk.does("audit", "--from", "2026-11-23", "--format", form) for form in ("csv", "json", "table")]
    here = [
        desk.does("audit", "--from", "2026-11-23", "--format", form, "--data", tmp_path / "data")
        for form in ("csv", "json", "table")
    ]
    assert there == here
    assert there[0].count("\n") > 20


@contextmanager
def following(desk: Desk, *options: str) -> Iterator[IO[str]]:
    """What ``baskets status --follow`` prints, until Ctrl-C."""
    program = "from option_baskets.cli import main; main()"
    line = [sys.executable, "-c", program, "status", "--follow", *options]
    environment = os.environ | desk.environment | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process.stdout
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0


def test_what_happens_is_told_as_it_happens(trader: Desk, tmp_path: Path) -> None:
    trader.does("push", file_of(tmp_path, STRADDLE))
    with following(trader, "--json") as lines, following(trader) as screen:
        messages = (json.loads(text) for text in lines)
        assert next(messages)["type"] == "snapshot"
        assert any("no refusals" in text for text in screen), "the tables are shown first"
        trader.server.until("09:20:05")
        filled = next(each for each in messages if each["type"] == "fill")
        assert filled["strategy_id"] == "straddle.0920-straddle"
    assert trader.api("get_execution", "--run-id", "2026-11-23~straddle.0920-straddle~0")["run"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"type": "fill", "order_id": "TAG", "strategy_id": "a.b", "quantity": 1300, "price": "85.3800"}, "85.38  TAG"),
        ({"type": "refusal", "strategy_id": "a.b", "reason": "halted", "detail": "why"}, "a.b  refused, halted: why"),
        ({"type": "alert", "alert": {"level": "critical", "code": "drift", "message": "look"}}, "drift  look"),
        (
            {"type": "run", "run": {"strategy_id": "a.b", "status": "SKIPPED", "reason": "halted", "detail": ""}},
            "a.b  skipped  halted",
        ),
    ],
)
def test_a_message_is_a_line_for_a_person(message: dict[str, Any], said: str) -> None:
    told = line_of({"at": "2026-11-23T09:20:00+05:30"} | message)
    assert told is not None
    assert told.plain.startswith("09:20:00  ")
    assert told.plain.endswith(said)
    assert line_of({"type": "tick", "at": "2026-11-23T09:20:00+05:30"}) is None


def test_a_server_that_went_is_told_by_whoever_asks_it(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server:
        desk = Desk(server=server, home=tmp_path / "home", person=server.user(EMAIL)).logs_in()
    assert "nobody answers" in desk.fails("status")
    with pytest.raises(Unavailable):
        asyncio.run(_ready(desk.server.url))
    assert "nobody answers" in desk.fails("logout")
    assert desk.logins.get(server.url) is None, "it is forgotten all the same"


async def _ready(url: str) -> None:
    async with connected(url) as api:
        await api.ask("GET", "/ready", as_somebody=False)


async def test_nobody_is_logged_in_where_nobody_was(tmp_path: Path) -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9") as http:
        api = Connection(
            server="http://127.0.0.1:9", logins=Logins(folder=tmp_path), clock=RealClock(), token="", http=http
        )
        with pytest.raises(Unauthenticated, match="baskets login --server http"):
            await api.get("/options/baskets")
