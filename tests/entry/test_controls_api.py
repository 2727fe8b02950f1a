"""Trading by hand over HTTP: the routes only write to the store, and the engine of the same process finds it there.

The market stands at 09:15 until a test leads it on; the engine looks for switches every ten seconds of it.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from option_baskets.api.views_controls import subject_of
from option_baskets.domain.kill import KillScope
from option_baskets.store.repeats import Repeats
from tests.entry.served import Person, Server, serve, served  # noqa: F401

Json = dict[str, Any]

SHORT_CALL = {"side": "SELL", "type": "CE", "strike": {"rule": "atm"}}
SHORT_PUT = {"side": "SELL", "type": "PE", "strike": {"rule": "atm"}}
STRADDLE = {
    "name": "straddle",
    "underlying": "NIFTY",
    "entry": "11:00",
    "exit": "15:15",
    "legs": [SHORT_CALL, SHORT_PUT],
    "allocations": [{"account": "one", "lots": 1}, {"account": "two", "lots": 2}],
}


class Trader:
    """Somebody with accounts one and two, and a basket of one straddle that is due at 11:00."""

    def __init__(self, server: Server, email: str = "ann@example.org", **changes: object) -> None:
        self.server = server
        self.person: Person = server.user(email)
        for account in ("one", "two"):
            assert self.post("/broker-accounts", {"id": account}).status_code == 201
        basket = self.post("/options/baskets", {"name": "Income", "capital": 500000})
        assert basket.status_code == 201, basket.text
        self.basket = basket.json()["id"]
        made = self.post(f"/options/baskets/{self.basket}/strategies", STRADDLE | changes)
        assert made.status_code == 201, made.text
        self.strategy = made.json()["id"]

    @property
    def http(self) -> httpx.Client:
        return self.person.http

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, headers=sent) if body is None else self.http.post(path, json=body, headers=sent)

    def deed(self, deed: str, **headers: str) -> httpx.Response:
        """``enter``, ``enter?another=true``, ``exit``, ``pause`` or ``resume`` of the straddle."""
        return self.post(f"/options/strategies/{self.strategy}/{deed}", **headers)

    def runs(self) -> list[Json]:
        found: list[Json] = self.http.get("/options/executions").json()["items"]
        return sorted(found, key=lambda run: int(run["cycle"]))

    def run(self) -> Json:
        """The only one."""
        (run,) = self.runs()
        return run

    def whole(self) -> Json:
        """With its legs and orders."""
        found: Json = self.http.get(f"/options/executions/{self.run()['id']}").json()
        return found

    def open_legs(self) -> dict[str, int]:
        """Open units by account."""
        found: dict[str, int] = {}
        for run in self.runs():
            for leg in self.http.get(f"/options/executions/{run['id']}").json()["legs"]:
                found[leg["account"]] = found.get(leg["account"], 0) + leg["open"]
        return found

    def kill(self, scope: str, name: str | None = None, **more: str) -> httpx.Response:
        return self.post("/options/kill-switches", {"scope": scope, "id": name} | more)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For whoever needs no time to pass."""
    with serve(tmp_path_factory.mktemp("standing") / "data") as server:
        yield server


@pytest.fixture
def writer(standing: Server) -> Trader:
    """Another one every time, on a server whose market stands."""
    return Trader(standing, f"number-{len(standing.people)}@example.org")


@pytest.fixture
def trader(served: Server) -> Trader:  # noqa: F811
    return Trader(served)


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    """(Status, kind, reason) of a refusal."""
    found = answer.json()
    return answer.status_code, found["type"].rsplit("/", 1)[1], found["reason"]


# ---------------------------------------------------------------- entering


def test_a_strategy_is_entered_now_on_accounts_that_came_after_the_engine_began(trader: Trader) -> None:
    trader.server.until("09:31")
    entered = trader.deed("enter")
    assert entered.status_code == 202, entered.text
    assert entered.json()["status"] == "SCHEDULED"
    trader.server.until("09:31:10")
    run = trader.run()
    assert (run["status"], run["id"]) == ("ACTIVE", entered.json()["id"])
    assert entered.headers["location"] == f"/options/executions/{run['id']}"
    assert {(leg["account"], leg["lots"], leg["entered"] > 0) for leg in trader.whole()["legs"]} == {
        ("one", 1, True),
        ("two", 2, True),
    }
    assert {order["state"] for order in trader.whole()["orders"]} == {"FILLED"}


def test_entered_by_hand_it_is_not_entered_again_at_its_minute(trader: Trader) -> None:
    trader.server.until("10:40")
    trader.deed("enter")
    trader.server.until("11:05")
    assert [(run["cycle"], run["status"]) for run in trader.runs()] == [(0, "ACTIVE")]


def test_one_key_is_one_run(trader: Trader) -> None:
    trader.server.until("09:31")
    first = trader.deed("enter", Idempotency_Key="k")
    again = trader.deed("enter", Idempotency_Key="k")
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert problem(trader.deed("enter", Idempotency_Key="other")) == (409, "conflict", None)
    assert trader.deed("enter?another=true", Idempotency_Key="third").json()["cycle"] == 100
    assert len(trader.runs()) == 2


def test_a_key_whose_answer_was_lost_is_the_run_it_made(trader: Trader) -> None:
    """The process died after the claim: what it kept of the request is gone, the run is there."""
    trader.server.until("09:31")
    first = trader.deed("enter", Idempotency_Key="k").json()
    private = trader.server.platform.private

    trader.server.ask(lambda: Repeats(private).forget(trader.person.id, "k"))
    assert trader.deed("enter", Idempotency_Key="k").json()["id"] == first["id"]
    assert len(trader.runs()) == 1


def test_after_the_close_it_is_told_when_the_market_opens(trader: Trader) -> None:
    """The day after is a holiday."""
    trader.server.until("15:41")
    refused = trader.deed("enter")
    assert problem(refused) == (422, "refused", "session_closed")
    assert refused.json()["detail"].endswith("the market opens at 09:15 on 25-Nov-2026")


def test_paused_it_is_refused_and_resumed_it_is_not(trader: Trader) -> None:
    trader.server.until("09:31")
    trader.deed("pause")
    assert problem(trader.deed("enter")) == (422, "refused", "paused")
    trader.deed("resume")
    assert trader.deed("enter").status_code == 202


# ---------------------------------------------------------------- exiting


def test_a_strategy_is_left_now_and_told_what_is_still_open(trader: Trader) -> None:
    trader.server.until("09:31")
    trader.deed("enter")
    trader.server.until("09:40")
    asked = trader.deed("exit?reason=enough")
    assert asked.status_code == 202, asked.text
    assert asked.json()["left"] == [
        {"account": "one", "open_positions": 2, "working_orders": 0},
        {"account": "two", "open_positions": 2, "working_orders": 0},
    ]
    assert [run["id"] for run in asked.json()["runs"]] == [trader.run()["id"]]
    trader.server.until("09:41")
    assert trader.run()["status"] == "CLOSED"
    assert {leg["exit_reason"] for leg in trader.whole()["legs"]} == {"manual"}
    assert trader.deed("exit").json() == {"strategy_id": trader.strategy, "runs": [], "left": []}


# ---------------------------------------------------------------- pausing


def test_a_pause_and_its_end_are_made_once_however_often_they_are_asked_for(writer: Trader) -> None:
    one, two = writer.deed("pause"), writer.deed("pause")
    assert (one.json()["paused"], one.headers["etag"], two.headers["etag"]) == (True, '"2"', '"2"')
    basket = f"/options/baskets/{writer.basket}"
    assert [writer.post(f"{basket}/pause").headers["etag"] for _ in range(2)] == ['"2"', '"2"']
    assert writer.post(f"{basket}/resume").json()["paused"] is False
    assert writer.http.get(f"/options/strategies/{writer.strategy}").json()["paused"] is True
    assert writer.deed("resume").headers["etag"] == '"3"'


@pytest.mark.parametrize("what", ["strategy", "basket"])
def test_an_entry_within_the_next_minutes_comes_back_with_the_end_of_the_pause(trader: Trader, what: str) -> None:
    """The trigger of 10:55 finds it paused; the end of the pause at 10:58 claims 11:00."""
    path = f"/options/strategies/{trader.strategy}" if what == "strategy" else f"/options/baskets/{trader.basket}"
    trader.post(f"{path}/pause")
    trader.server.until("10:58")
    assert trader.runs() == []
    trader.post(f"{path}/resume")
    assert [run["status"] for run in trader.runs()] == ["SCHEDULED"]
    trader.server.until("11:00:10")
    assert trader.run()["status"] == "ACTIVE"


def test_a_pause_after_the_claim_keeps_it_out(trader: Trader) -> None:
    trader.server.until("10:58")
    assert [run["status"] for run in trader.runs()] == ["SCHEDULED"]
    trader.deed("pause")
    trader.server.until("11:00:10")
    assert [(run["status"], run["reason"]) for run in trader.runs()] == [("SKIPPED", "paused")]


# ---------------------------------------------------------------- kill switches


@pytest.mark.parametrize("scope", KillScope)
def test_a_switch_closes_what_it_covers_and_lets_nothing_in_until_it_is_re_armed(
    trader: Trader, scope: KillScope
) -> None:
    trader.server.until("09:31")
    trader.deed("enter")
    trader.server.until("09:40")
    name = {
        KillScope.USER: None,
        KillScope.ACCOUNT: "one",
        KillScope.BASKET: trader.basket,
        KillScope.STRATEGY: trader.strategy,
    }[scope]
    thrown = trader.kill(scope, name, reason="wrong file")
    assert thrown.status_code == 201, thrown.text
    view, path = thrown.json(), thrown.headers["location"]
    assert (view["scope"], view["subject_id"], view["thrown_by"]) == (scope, name, trader.person.id)
    assert (view["reason"], view["taken_up_at"], view["is_flat"]) == ("wrong file", None, False)
    covered = ["one"] if scope is KillScope.ACCOUNT else ["one", "two"]
    assert [each["account"] for each in view["left"]] == covered
    trader.server.later(timedelta(seconds=11))
    after = trader.http.get(path).json()
    assert (after["is_flat"], after["left"]) == (True, [])
    assert after["taken_up_at"] is not None
    legs = trader.open_legs()
    assert legs["one"] == 0
    assert (legs["two"] == 0) is (scope is not KillScope.ACCOUNT)
    assert trader.http.get("/options/kill-switches").json()["items"] == [after]
    if scope is not KillScope.ACCOUNT:
        assert problem(trader.deed("enter")) == (422, "refused", "killed")
    assert trader.http.delete(f"{path}?reason=mended").status_code == 204
    assert problem(trader.http.delete(path)) == (404, "not-found", None)
    assert trader.http.get("/options/kill-switches").json()["items"] == []
    trader.server.later(timedelta(seconds=11))
    assert trader.deed("enter?another=true").status_code == 202


def test_thrown_again_it_is_taken_up_anew(trader: Trader) -> None:
    path = trader.kill("user").headers["location"]
    trader.server.later(timedelta(seconds=11))
    assert trader.http.get(path).json()["taken_up_at"] is not None
    assert trader.kill("user", reason="again").json()["taken_up_at"] is None
    assert len(trader.http.get("/options/kill-switches").json()["items"]) == 1


def test_the_history_says_who_threw_and_who_re_armed(writer: Trader) -> None:
    path = writer.kill("account", "one", reason="first").headers["location"]
    writer.http.delete(f"{path}?reason=second")
    rows = writer.http.get("/options/history").json()["items"]
    deeds = {(row["what"], row["actor"]) for row in rows if row["what"] in {"killed", "armed"}}
    assert deeds == {("killed", writer.person.id), ("armed", writer.person.id)}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"scope": "account"}, ("id", "say which account")),
        ({"scope": "user", "id": "one"}, ("id", "is given with account, basket or strategy only")),
        ({"scope": "everything"}, ("scope", "Input should be 'user', 'account', 'basket' or 'strategy'")),
        ({"id": "one"}, ("scope", "Field required")),
        ({"scope": "user", "why": "x"}, ("why", "Unexpected keyword argument")),
    ],
)
def test_what_is_not_clear_is_told_by_field(writer: Trader, body: Json, told: tuple[str, str]) -> None:
    answer = writer.post("/options/kill-switches", body)
    assert answer.status_code == 422
    assert [(each["where"], each["message"]) for each in answer.json()["errors"]] == [told]


@pytest.mark.parametrize("name", ["", "user~", "user~x", "account", "account~", "galaxy~x", "~"])
def test_what_names_no_switch_is_none(name: str) -> None:
    assert subject_of(name) is None


# ---------------------------------------------------------------- limits


def test_limits_are_none_at_first_and_change_by_version(writer: Trader) -> None:
    path, http = "/options/limits", writer.http
    first = http.get(path)
    assert (first.json(), first.headers["etag"]) == ({"max_daily_loss": None, "version": 0}, '"0"')
    assert problem(http.put(path, json={"max_daily_loss": 50000})) == (428, "precondition-required", None)
    set_ = http.put(path, json={"max_daily_loss": 50000.5}, headers={"If-Match": '"0"'})
    assert (set_.status_code, set_.text) == (200, '{"max_daily_loss":50000.5,"version":1}')
    assert problem(http.put(path, json={"max_daily_loss": 1}, headers={"If-Match": '"0"'})) == (412, "stale", None)
    assert http.get(path, headers={"If-None-Match": '"1"'}).status_code == 304
    gone = http.put(path, json={"max_daily_loss": None}, headers={"If-Match": '"1"'})
    assert gone.json() == {"max_daily_loss": None, "version": 2}


@pytest.mark.parametrize("body", [{"max_daily_loss": 0}, {"max_daily_loss": -5}, {"max_daily_loss": "5"}, {"x": 1}, []])
def test_what_is_no_limit_is_refused(writer: Trader, body: object) -> None:
    answer = writer.http.put("/options/limits", json=body, headers={"If-Match": '"0"'})
    assert problem(answer) == (422, "invalid", None)


def test_a_limit_ends_the_day_of_its_user_and_of_nobody_else(trader: Trader) -> None:
    """Charges alone are more than 1 rupee."""
    other = Trader(trader.server, "ravi@example.org")
    trader.server.until("09:31")
    trader.deed("enter")
    other.deed("enter")
    trader.server.until("09:40")
    trader.http.put("/options/limits", json={"max_daily_loss": 1}, headers={"If-Match": '"0"'})
    trader.server.until("09:43")
    assert trader.run()["status"] == "CLOSED"
    assert {leg["exit_reason"] for leg in trader.whole()["legs"]} == {"user_stop"}
    assert other.run()["status"] == "ACTIVE"
    assert problem(trader.deed("enter")) == (422, "refused", "user_stopped")


# ---------------------------------------------------------------- of others


def test_another_user_s_names_are_as_if_they_did_not_exist(trader: Trader) -> None:
    ravi = trader.server.user("ravi@example.org").http
    trader.server.until("09:31")
    trader.deed("enter")
    switch = trader.kill("account", "one").headers["location"]
    for name in (trader.strategy, "nothing"):
        for deed in ("enter", "exit", "pause", "resume"):
            assert problem(ravi.post(f"/options/strategies/{name}/{deed}")) == (404, "not-found", None)
        assert problem(ravi.post("/options/kill-switches", json={"scope": "strategy", "id": name}))[0] == 404
    for name in (trader.basket, "nothing"):
        for deed in ("pause", "resume"):
            assert problem(ravi.post(f"/options/baskets/{name}/{deed}")) == (404, "not-found", None)
        assert problem(ravi.post("/options/kill-switches", json={"scope": "basket", "id": name}))[0] == 404
    assert problem(ravi.post("/options/kill-switches", json={"scope": "account", "id": "one"}))[0] == 404
    assert problem(ravi.get(switch))[0] == 404
    assert problem(ravi.delete(switch))[0] == 404
    assert ravi.get("/options/kill-switches").json()["items"] == []
    assert ravi.get("/options/limits").json()["version"] == 0


# ---------------------------------------------------------------- what is published


def test_answers_and_examples_are_as_published(trader: Trader) -> None:
    """Every route of this page, asked for real."""
    http, server = trader.http, trader.server
    document = http.get("/openapi.json").json()

    def check(method: str, template: str, answer: httpx.Response) -> None:
        operation = document["paths"][template][method]
        said = operation["responses"][str(answer.status_code)]
        if "$ref" in said:
            said = document["components"]["responses"][said["$ref"].rpartition("/")[2]]
        if answer.status_code == 204:
            assert "content" not in said
            return
        (content,) = said["content"].values()
        checked = Draft202012Validator({**content["schema"], "components": document["components"]})
        checked.validate(answer.json())
        for example in (
            [content["example"]] if "example" in content else [v["value"] for v in content["examples"].values()]
        ):
            checked.validate(example)
        assert operation["summary"]
        assert operation["description"]

    deeds, switches = "/options/strategies/{strategy_id}", "/options/kill-switches"
    throwing = document["paths"][switches]["post"]["requestBody"]["content"]["application/json"]
    taken = Draft202012Validator(throwing["schema"])
    taken.validate(throwing["example"])
    assert not taken.is_valid({"scope": "everything"})
    check("post", f"{deeds}/pause", trader.deed("pause"))
    server.until("09:31")
    check("post", f"{deeds}/enter", trader.deed("enter"))  # refused
    check("post", f"{deeds}/pause", trader.deed("pause"))
    check("post", f"{deeds}/resume", trader.deed("resume"))
    for deed in ("pause", "resume"):
        answer = trader.post(f"/options/baskets/{trader.basket}/{deed}")
        check("post", f"/options/baskets/{{basket_id}}/{deed}", answer)
    for _ in range(2):  # entered, and a conflict
        check("post", f"{deeds}/enter", trader.deed("enter"))
    server.until("09:32")
    for _ in range(2):  # with something open, and with nothing
        check("post", f"{deeds}/exit", trader.deed("exit"))
        server.until("09:33")
    thrown = trader.kill("account", "one")
    check("post", switches, thrown)
    check("post", switches, trader.kill("account", "three"))
    check("post", switches, trader.kill("account"))
    check("get", switches, http.get(switches))
    path, template = thrown.headers["location"], f"{switches}/{{kill_id}}"
    check("get", template, http.get(path))
    for _ in range(2):  # gone, and not there
        check("delete", template, http.delete(path))
    check("get", "/options/limits", http.get("/options/limits"))
    check("put", "/options/limits", http.put("/options/limits", json={}))
    for _ in range(2):  # taken, and stale
        put = http.put("/options/limits", json={"max_daily_loss": 500.25}, headers={"If-Match": '"0"'})
        check("put", "/options/limits", put)
