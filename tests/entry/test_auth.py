"""Users and logins over HTTP: what is answered, what is refused alike, and what ends."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from fastapi.routing import APIRoute

from option_baskets.adapters.identity.attempts import Limits, Window
from option_baskets.adapters.identity.terms import Registration
from option_baskets.api.app import make_app
from option_baskets.api.auth import router
from option_baskets.api.http.problems import TYPES
from option_baskets.ports import Role, SignIn
from tests.entry.served import PASSWORD, QUICK, Server, serve

EMAIL = "asha@example.org"
OTHER = "four words of another kind"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here, each with users of its own; nobody registers too often."""
    often = Limits(registrations=(Window(most=10_000, span=timedelta(hours=1)),))
    with serve(tmp_path_factory.mktemp("auth") / "data", terms=replace(QUICK, limits=often)) as server:
        yield server


class Client:
    """Somebody at the API, with the tokens of their newest login."""

    def __init__(self, server: Server, email: str) -> None:
        self.http = server.http
        self.email = email
        self.tokens: Json = {}

    def post(
        self, path: str, body: Json | None = None, *, method: str = "POST", token: str | None = None
    ) -> httpx.Response:
        token = token if token is not None else self.tokens.get("access_token", "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.request(method, f"/auth/{path}", json=body, headers=headers)

    def register(self, password: str = PASSWORD) -> httpx.Response:
        return self.post("register", {"email": self.email, "password": password}, token="")

    def login(self, password: str = PASSWORD, **code: str) -> httpx.Response:
        answer = self.post("login", {"email": self.email, "password": password, **code}, token="")
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    def refresh(self, token: str) -> httpx.Response:
        return self.post("refresh", {"refresh_token": token}, token="")

    def me(self, token: str | None = None) -> httpx.Response:
        return self.post("me", method="GET", token=token)


@pytest.fixture
def asha(server: Server, request: pytest.FixtureRequest) -> Client:
    """Registered and logged in, with an email of this test's own."""
    client = Client(server, f"{request.node.name[:60]}@example.org".replace("[", ".").replace("]", ""))
    assert client.register().status_code == 202
    assert client.login().status_code == 200
    return client


def problem(answer: httpx.Response, status: int, kind: str) -> Json:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found: Json = answer.json()
    assert found["type"] == TYPES + kind
    return found


# ---------------------------------------------------------------- from register to logout


def test_who_registers_logs_in_and_is_told_who_they_are(asha: Client) -> None:
    answer = asha.me()
    assert answer.json() | {"user_id": "", "created_at": ""} == {
        "user_id": "",
        "email": asha.email,
        "role": "user",
        "created_at": "",
        "second_factor": False,
        "recovery_codes_left": 0,
    }
    assert asha.tokens["token_type"] == "Bearer"
    assert answer.headers["cache-control"] == asha.login().headers["cache-control"] == "no-store"


def test_a_logout_is_the_end_of_both_tokens_at_once(asha: Client) -> None:
    before = asha.tokens
    asha.login()
    assert asha.post("logout").status_code == 204
    problem(asha.me(), 401, "unauthenticated")
    problem(asha.refresh(asha.tokens["refresh_token"]), 401, "unauthenticated")
    assert asha.me(before["access_token"]).status_code == 200, "another login goes on"
    assert asha.post("logout?everywhere=true", token=before["access_token"]).status_code == 204
    problem(asha.me(before["access_token"]), 401, "unauthenticated")


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_login(asha: Client) -> None:
    stolen = asha.tokens["refresh_token"]
    renewed = asha.refresh(stolen).json()
    assert asha.me(renewed["access_token"]).status_code == 200
    words = problem(asha.refresh(stolen), 401, "unauthenticated")
    assert problem(asha.refresh(renewed["refresh_token"]), 401, "unauthenticated") == words
    assert problem(asha.refresh("obr_never-given"), 401, "unauthenticated") == words
    problem(asha.me(renewed["access_token"]), 401, "unauthenticated")


def test_a_new_password_ends_every_login_but_the_one_it_answers(asha: Client) -> None:
    before = asha.tokens
    wrong = asha.post("password", {"password": OTHER, "new_password": OTHER})
    problem(wrong, 403, "forbidden")
    short = problem(asha.post("password", {"password": PASSWORD, "new_password": "short"}), 422, "invalid")
    assert [each["where"] for each in short["errors"]] == ["new_password"]
    answer = asha.post("password", {"password": PASSWORD, "new_password": OTHER})
    assert asha.me(answer.json()["access_token"]).status_code == 200
    problem(asha.me(before["access_token"]), 401, "unauthenticated")
    problem(asha.login(), 401, "unauthenticated")
    assert asha.login(OTHER).status_code == 200


def test_a_second_factor_is_enrolled_confirmed_asked_for_and_removed(asha: Client, server: Server) -> None:
    problem(asha.post("totp", {"password": OTHER}), 403, "forbidden")
    enrolled = asha.post("totp", {"password": PASSWORD})
    assert enrolled.status_code == 201
    totp = pyotp.parse_uri(enrolled.json()["uri"])
    assert isinstance(totp, pyotp.TOTP)
    assert totp.secret == enrolled.json()["secret"]
    problem(asha.post("totp", {"code": "no code"}, method="PUT"), 403, "forbidden")
    now = server.platform.wall.now()
    codes = asha.post("totp", {"code": totp.at(now)}, method="PUT").json()["recovery_codes"]
    assert asha.me().json() == asha.me().json() | {"second_factor": True, "recovery_codes_left": 10}
    problem(asha.post("totp", {"password": PASSWORD}), 409, "conflict")
    refused = problem(asha.login(), 401, "unauthenticated")
    assert refused == problem(asha.login(OTHER), 401, "unauthenticated")
    assert refused == problem(asha.login(code=totp.at(now)), 401, "unauthenticated"), "it was used to confirm"
    assert asha.login(code=codes[0]).status_code == 200
    problem(asha.post("totp", {"password": PASSWORD, "code": codes[0]}, method="DELETE"), 403, "forbidden")
    assert asha.post("totp", {"password": PASSWORD, "code": codes[1]}, method="DELETE").status_code == 204
    assert asha.login().status_code == 200


# ---------------------------------------------------------------- who exists


def test_registering_a_taken_email_is_answered_as_a_new_one_and_its_password_stays(asha: Client) -> None:
    new = Client.register(asha, OTHER)
    asha.email = f"other.{asha.email}"
    assert (new.status_code, new.content) == (asha.register().status_code, asha.register().content)
    assert {**new.headers, "date": ""} == {**asha.register().headers, "date": ""}
    asha.email = asha.email.removeprefix("other.")
    problem(asha.login(OTHER), 401, "unauthenticated")
    assert asha.login().status_code == 200


def test_a_login_fails_alike_for_every_cause(asha: Client, server: Server) -> None:
    wrong = asha.login(OTHER)
    asha.email = "nobody.at.all@example.org"
    nobody = asha.login()
    assert (wrong.status_code, wrong.content) == (nobody.status_code, nobody.content) == (401, nobody.content)
    assert set(wrong.headers) == set(nobody.headers)


def test_an_email_is_locked_alike_whether_it_has_a_user_or_not(server: Server, asha: Client) -> None:
    locked = []
    for email in ("locked.nobody@example.org", f"x{asha.email}"):
        somebody = Client(server, email)
        if email.startswith("x"):
            somebody.register()
        for _ in range(5):
            problem(somebody.login(OTHER), 401, "unauthenticated")
        answer = somebody.login()
        assert 0 < int(answer.headers["retry-after"]) <= 900
        locked.append(problem(answer, 429, "too-many"))
    assert locked[0] == locked[1]


# ---------------------------------------------------------------- bodies and routes


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("register", {"email": "no email", "password": "short"}, ["email", "password"]),
        ("register", {"email": EMAIL}, ["password"]),
        ("login", {}, ["email", "password"]),
        ("login", {"email": EMAIL, "password": PASSWORD, "role": "admin"}, ["role"]),
        ("login", {"email": 5, "password": [PASSWORD]}, ["email", "password"]),
        ("login", [], ["body"]),
        ("login", {"email": EMAIL, "password": "x" * 1001}, ["password"]),
        ("refresh", {"refresh_token": None}, ["refresh_token"]),
    ],
)
def test_everything_wrong_with_a_body_is_told_and_nothing_of_it_repeated(
    server: Server, path: str, body: Any, wrong: list[str]
) -> None:
    answer = server.http.post(f"/auth/{path}", json=body)
    told = problem(answer, 422, "invalid")
    assert [each["where"] for each in told["errors"]] == wrong
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("path", ["register", "login", "refresh"])
def test_what_is_no_json_is_refused_as_everywhere(server: Server, path: str) -> None:
    problem(
        server.http.post(f"/auth/{path}", content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed"
    )
    form = server.http.post(f"/auth/{path}", data={"email": EMAIL, "password": PASSWORD})
    problem(form, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "me"), ("POST", "logout"), ("POST", "password"), ("POST", "totp"), ("PUT", "totp"), ("DELETE", "totp")],
)
def test_without_a_token_that_is_good_nobody_learns_anything(server: Server, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer no-token"}, {"Authorization": "Basic YTpi"}):
        answer = server.http.request(method, f"/auth/{path}", json={}, headers=headers)
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(server: Server) -> None:
    admin = server.user("admin@example.org", role=Role.ADMIN)
    assert admin.http.get("/auth/me").json()["role"] == "admin"
    people = server.open.entrance.people

    async def demote() -> None:
        user = await people.user(admin.id)
        assert user is not None
        await people.commit(people.put_user(replace(user, role=Role.USER))[0])

    server.ask(demote)
    assert admin.http.get("/auth/me").json()["role"] == "user"


def test_a_login_is_not_answered_from_memory(asha: Client) -> None:
    """Idempotency-Key is for what trades: an answer with tokens in it is kept nowhere."""
    key = {"Idempotency-Key": "once"}
    body = {"email": asha.email, "password": PASSWORD}
    first, second = (asha.http.post("/auth/login", json=body, headers=key).json() for _ in range(2))
    assert first["refresh_token"] != second["refresh_token"]


def test_where_registration_is_closed_nobody_registers(tmp_path: Path) -> None:
    with serve(tmp_path / "data", terms=replace(QUICK, registration=Registration.CLOSED)) as server:
        for email in (EMAIL, server.user(EMAIL).email):
            problem(Client(server, email).register(), 403, "forbidden")


def test_a_platform_whose_users_are_kept_elsewhere_has_no_such_routes(server: Server) -> None:
    async def statuses(sign_in: SignIn | None) -> list[int]:
        app = make_app(replace(server.platform, sign_in=sign_in))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return [(await http.get("/auth/me")).status_code, (await http.post("/auth/login", json={})).status_code]

    assert server.ask(lambda: statuses(server.platform.sign_in)) == [401, 422]
    assert server.ask(lambda: statuses(None)) == [404, 404]


def test_every_route_says_which_statuses_it_answers() -> None:
    """Of the statuses the tests above see, each is published."""
    routes = (route for route in router.routes if isinstance(route, APIRoute))
    published = {route.name: {int(status) for status in route.responses} for route in routes}
    seen = {
        "register": {202, 400, 403, 415, 422, 429},
        "login": {200, 400, 401, 415, 422, 429},
        "refresh": {200, 400, 401, 415, 422},
        "logout": {204, 401},
        "change_password": {200, 401, 403, 422},
        "get_me": {200, 401},
        "enrol_totp": {201, 401, 403, 409},
        "confirm_totp": {200, 401, 403},
        "remove_totp": {204, 401, 403},
    }
    assert set(published) == set(seen)
    assert {name: statuses - published[name] for name, statuses in seen.items()} == {name: set() for name in seen}
