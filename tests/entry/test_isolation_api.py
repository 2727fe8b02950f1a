"""Nobody reaches another's data: every route that names something, asked for what is somebody else's.

The routes are enumerated from what the server publishes. One that is new and names something of a user fails here until
it is said below what there is to reach for.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.entry.served import Person, Server, serve
from tests.entry.test_plans_api import SHORT_CALL, SHORT_PUT

Json = dict[str, Any]

MARK = "zebra"
"""In every name that Ben gave, and in nothing else."""
PUBLIC = {"name"}
"""Parameters of paths that name nothing of a user's: templates."""
OPEN = {"/auth/register", "/auth/login", "/auth/refresh", "/health", "/ready", "/metrics"}
"""Answered to anybody."""

STRADDLE = {
    "name": f"{MARK} straddle",
    "underlying": "NIFTY",
    "entry": "09:20",
    "exit": "15:15",
    "legs": [SHORT_CALL | {"id": f"{MARK}-call"}, SHORT_PUT | {"id": f"{MARK}-put"}],
}
BODIES: Mapping[str, Json] = {
    "replace_basket": {"name": "Mine now", "capital": 1},
    "create_strategy": STRADDLE,
    "replace_strategy": STRADDLE | {"name": "Mine now"},
    "create_leg": SHORT_CALL | {"id": "3"},
    "replace_leg": SHORT_CALL | {"id": f"{MARK}-call"},
    "create_allocation": {"account": f"{MARK}-1", "lots": 3},
    "replace_allocation": {"account": f"{MARK}-1", "lots": 3},
    "update_broker_account": {"charges_as": "angelone"},
    "rotate_broker_secret": {"secret": {}},
}
"""A body that would be taken, of every route that has one and names something in its path."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """One operation with a name in its path."""

    operation: str
    method: str
    path: str
    names: tuple[str, ...]

    def ask(self, http: httpx.Client, given: Mapping[str, str]) -> httpx.Response:
        path = self.path.format(**{name: given[name] for name in self.names})
        return http.request(self.method, path, json=BODIES.get(self.operation), headers={"If-Match": '"1"'})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("isolation") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def ann(server: Server) -> Person:
    return server.user("ann@example.org")


@pytest.fixture(scope="module")
def theirs(server: Server) -> Mapping[str, str]:
    """One of everything that has an id, Ben's."""
    ben = server.user("ben@example.org").http
    made(ben.post("/broker-accounts", json={"id": f"{MARK}-1", "broker": "paper"}))
    basket = made(ben.post("/options/baskets", json={"name": f"{MARK} income", "capital": 500000}))["id"]
    plan = STRADDLE | {"allocations": [{"account": f"{MARK}-1", "lots": 1}]}
    strategy = made(ben.post(f"/options/baskets/{basket}/strategies", json=plan))["id"]
    server.until("09:25")
    kill = made(ben.post("/options/kill-switches", json={"scope": "account", "id": f"{MARK}-1"}))
    server.until("09:26")
    (allocation,) = items(ben.get(f"/options/strategies/{strategy}/brokers"))
    (run,) = items(ben.get("/options/executions"))
    orders = items(ben.get("/options/orders"))
    assert len(orders) == 4  # sold at 09:20, bought back for the kill switch
    return {
        "basket_id": basket,
        "strategy_id": strategy,
        "leg_id": f"{MARK}-call",
        "allocation_id": allocation["id"],
        "run_id": run["id"],
        "order_id": orders[0]["id"],
        "kill_id": kill["id"],
        "account_id": f"{MARK}-1",
    }


def made(answer: httpx.Response) -> Json:
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def items(answer: httpx.Response) -> list[Json]:
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["items"]
    return found


def operations(server: Server) -> Iterator[tuple[str, str, Json]]:
    """(method, path, operation) of everything the server publishes."""
    for path, methods in server.http.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def reaches(server: Server) -> list[Reach]:
    found = []
    for method, path, operation in operations(server):
        names = tuple(
            each["name"]
            for each in operation.get("parameters", ())
            if each["in"] == "path" and each["name"] not in PUBLIC
        )
        if names:
            found.append(Reach(operation=operation["operationId"], method=method, path=path, names=names))
    return found


def bare(problem: Json, given: Mapping[str, str]) -> str:
    """A problem without the names that were asked for."""
    text = json.dumps(problem, sort_keys=True)
    for name in sorted(given.values(), key=len, reverse=True):
        text = text.replace(name, "NAME")
    return text


def test_every_route_but_those_of_the_entrance_wants_a_token(server: Server) -> None:
    for method, path, operation in operations(server):
        names = {each["name"]: "x" for each in operation.get("parameters", ()) if each["in"] == "path"}
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
            answer = server.http.request(method, path.format(**names), headers=headers)
            if path not in OPEN:
                assert answer.status_code == 401, f"{method} {path}: {answer.text}"
                assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_what_is_anothers_is_answered_as_what_never_was(server: Server, ann: Person, theirs: Mapping[str, str]) -> None:
    never = {name: f"{value[:-3]}xyz" if value[-3:] != "xyz" else f"{value}z" for name, value in theirs.items()}
    never["run_id"] = theirs["run_id"].replace(MARK, "horse")
    tried = reaches(server)
    assert len(tried) > 30
    for reach in tried:
        assert set(reach.names) <= theirs.keys(), f"{reach.operation}: say above what there is to reach for"
        found, missing = reach.ask(ann.http, theirs), reach.ask(ann.http, never)
        assert found.status_code == missing.status_code == 404, f"{reach.operation}: {found.text}\n{missing.text}"
        assert bare(found.json(), theirs) == bare(missing.json(), never), reach.operation
        assert set(found.headers) == set(missing.headers), reach.operation


def test_ones_own_are_answered_so_that_the_404_above_says_something(server: Server, theirs: Mapping[str, str]) -> None:
    ben = server.user("ben@example.org")
    for reach in reaches(server):
        if reach.method == "GET":
            assert reach.ask(ben.http, theirs).status_code == 200, reach.operation


def test_lists_and_filters_show_nothing_of_anothers(server: Server, ann: Person, theirs: Mapping[str, str]) -> None:
    ben = server.user("ben@example.org")
    shown = 0
    for method, path, operation in operations(server):
        if method != "GET" or "{" in path or path in OPEN:
            continue
        parameters = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"}
        filters = {name: theirs[name] for name in parameters if name in theirs}
        if "account" in parameters:
            filters["account"] = theirs["account_id"]
        needed = {"underlying": "NIFTY"} if "underlying" in parameters else {}
        shown += MARK in ben.http.get(path, params=needed).text
        for given in ({}, filters):
            answer = ann.http.get(path, params=needed | given)
            assert answer.status_code in {200, 404}, f"{path}: {answer.text}"
            for value in given.values():
                assert value not in answer.text.replace(str(answer.url), ""), path
            if not given:
                assert MARK not in answer.text, path
    assert shown > 10  # Ben sees his own


def test_a_page_of_anothers_list_cannot_be_gone_on_with(server: Server, ann: Person, theirs: Mapping[str, str]) -> None:
    ben = server.user("ben@example.org")
    cursor = ben.http.get("/options/orders", params={"limit": 1}).json()["next"]
    assert ann.http.get("/options/orders", params={"cursor": cursor}).status_code == 422


def test_a_repeat_of_anothers_request_is_a_request_of_ones_own(
    server: Server, ann: Person, theirs: Mapping[str, str]
) -> None:
    ben = server.user("ben@example.org")
    body, key = {"name": "Same", "capital": 1000}, {"Idempotency-Key": "one"}
    first = ben.http.post("/options/baskets", json=body, headers=key)
    second = ann.http.post("/options/baskets", json=body, headers=key)
    assert first.status_code == second.status_code == 201
    assert "Idempotent-Replayed" not in second.headers
    assert [each["name"] for each in items(ann.http.get("/options/baskets"))] == ["Same"]


def test_what_is_not_ones_own_stays_as_it_was(server: Server, ann: Person, theirs: Mapping[str, str]) -> None:
    ben = server.user("ben@example.org")
    read = [reach for reach in reaches(server) if reach.method == "GET"]
    before = {reach.operation: reach.ask(ben.http, theirs).json() for reach in read}
    for reach in reaches(server):
        reach.ask(ann.http, theirs)
    server.until("09:28")
    after = {reach.operation: reach.ask(ben.http, theirs).json() for reach in read}
    for name, seen in before.items():
        assert {**seen, "as_of": None} == {**after[name], "as_of": None} or name in {
            "get_strategy_payoff",  # prices go on
            "get_strategy_greeks",
        }, name


def test_the_stream_tells_of_ones_own_only(server: Server, ann: Person, theirs: Mapping[str, str]) -> None:
    async def told() -> list[str]:
        seen = []
        async with connect(server.url.replace("http", "ws") + "/stream") as socket:
            await socket.send(json.dumps({"token": ann.token}))
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    seen.append(str(await asyncio.wait_for(socket.recv(), 0.5)))
        return seen

    seen = asyncio.run(told())
    assert seen
    assert not [text for text in seen if MARK in text]
