"""Plans over HTTP: created, read, changed and deleted as documented, and refused with what to mend."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time
from itertools import count
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from option_baskets.adapters.basket_file.components import plan_schemas
from option_baskets.adapters.basket_file.tables import allocation_table, basket_table, strategy_table
from option_baskets.adapters.templates import template, templates
from option_baskets.domain.basket import BrokerAccount, Strategy
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.run import Run, RunStatus
from option_baskets.domain.session import at
from option_baskets.store import codec
from option_baskets.store.records import Occurrence
from option_baskets.store.repeats import Repeats
from tests.engine.plans import run as a_run
from tests.entry.served import DAY, Person, Server, serve

Json = dict[str, Any]

BASKET = {"name": "Income", "capital": 500000}
SHORT_CALL = {"side": "SELL", "type": "CE", "strike": {"rule": "atm"}}
SHORT_PUT = {"side": "SELL", "type": "PE", "strike": {"rule": "atm"}}
STRADDLE = {"name": "0920 straddle", "underlying": "NIFTY", "entry": "11:00", "exit": "15:15"} | {
    "legs": [SHORT_CALL, SHORT_PUT]
}
CONDOR = {"name": "Condor", "underlying": "NIFTY", "entry": "10:00", "exit": "15:00"} | {
    "legs": [
        SHORT_CALL | {"id": "call"},
        SHORT_PUT | {"id": "put"},
        {"id": "call-wing", "side": "BUY", "type": "CE", "strike": {"rule": "of_leg", "leg": "call", "points": 200}},
        {"id": "put-wing", "side": "BUY", "type": "PE", "strike": {"rule": "of_leg", "leg": "put", "points": 200}},
    ]
}
STOP = {"stop": {"percent": 25}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("plans") / "data") as server:
        yield server


class Client:
    """Somebody with paper accounts one and two, and no plans."""

    def __init__(self, server: Server, person: Person) -> None:
        self.server, self.person = server, person
        self.account("one")
        self.account("two")

    def account(self, name: str, broker: str = "paper") -> None:
        books = self.server.platform.books
        self.server.ask(lambda: books.save_account(self.person.id, BrokerAccount(id=name, broker=broker)))

    def send(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None
        if body is not None:
            content = json.dumps(body, default=float).encode()
            named["Content-Type"] = "application/json"
        return self.person.http.request(method, f"/options/{path}", content=content, headers=named)

    def get(self, path: str) -> Json:
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def made(self, path: str, body: object) -> Json:
        answer = self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        assert answer.headers["ETag"] == f'"{found["version"]}"'
        assert answer.headers["Location"].startswith("/options/")
        return found

    def changed(self, path: str, body: object) -> Json:
        answer = self.send("PUT", path, body, If_Match="*")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def basket(self, **keys: object) -> Json:
        return self.made("baskets", BASKET | keys)

    def strategy(self, body: Json = STRADDLE, **keys: object) -> Json:
        return self.made(f"baskets/{self.basket()['id']}/strategies", body | keys)


NUMBERS = count()


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server, server.user(f"somebody-{next(NUMBERS)}@example.org"))


def problems(answer: httpx.Response, kind: str = "invalid") -> dict[str, str]:
    """Where something is wrong, with what is said of it."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    found = answer.json()
    assert found["type"].endswith(f"/{kind}"), answer.text
    assert found["status"] == answer.status_code
    return {each["where"]: each["message"] for each in found["errors"]}


def users(answer: httpx.Response) -> list[tuple[str, str]]:
    """What a delete was refused for."""
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "in-use"), answer.text
    return [(each["kind"], each["id"]) for each in answer.json()["used_by"]]


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", [each.name for each in templates()])
def test_every_template_is_created_as_in_a_file_and_answered_as_it_was_sent(client: Client, name: str) -> None:
    file = template(name).basket
    for account in file.accounts:
        client.account(account.id)
    basket = client.made("baskets", basket_table(file.basket))
    assert basket["id"] == file.basket.id
    for strategy in file.strategies:
        sent = strategy_table(strategy)
        allocations = [allocation_table(each) for each in file.of(strategy)]
        made = client.made(f"baskets/{basket['id']}/strategies", sent | {"allocations": allocations})
        assert made["id"] == strategy.id
        assert {key: made[key] for key in sent} == json.loads(json.dumps(sent, default=float))
        assert [each["id"] for each in made["allocations"]] == [each.id for each in file.of(strategy)]
        again = client.changed(f"strategies/{made['id']}", client.get(f"strategies/{made['id']}"))
        del made["allocations"], again["open_runs"]  # the entry of some is so near that it is claimed at once
        assert again == made | {"version": 2, "counts_from": "next_entry"}


def test_a_basket_is_created_read_changed_and_deleted(client: Client) -> None:
    made = client.basket(max_daily_loss=12500.5)
    assert made == {"id": "income", "version": 1, "mode": "paper", "paused": False, "max_daily_loss": 12500.5} | BASKET
    assert client.get("baskets/income") == made
    assert client.get("baskets") == {"items": [made], "next": None}
    changed = client.send("PUT", "baskets/income", BASKET | {"name": "Renamed"}, If_Match='"1"')
    assert (changed.json()["id"], changed.json()["name"], changed.headers["ETag"]) == ("income", "Renamed", '"2"')
    assert "max_daily_loss" not in changed.json()
    assert client.send("DELETE", "baskets/income", If_Match='"2"').status_code == 204
    assert client.send("GET", "baskets/income").status_code == 404


def test_numbers_keep_every_digit(client: Client) -> None:
    answer = client.person.http.post(
        "/options/baskets",
        content=b'{"name": "Exact", "capital": 999999999999.99, "max_drawdown_percent": 33.3333}',
        headers={"Content-Type": "application/json"},
    )
    assert '"capital":999999999999.99,' in answer.text
    assert '"max_drawdown_percent":33.3333' in answer.text


def test_a_name_that_is_taken_gets_a_number(client: Client) -> None:
    assert [client.basket()["id"] for _ in range(3)] == ["income", "income-2", "income-3"]
    made = [client.made("baskets/income-2/strategies", STRADDLE)["id"] for _ in range(2)]
    assert made == ["income-2.0920-straddle", "income-2.0920-straddle-2"]


def test_a_strategy_without_allocations_gets_them_one_by_one(client: Client) -> None:
    path = f"strategies/{client.strategy(CONDOR)['id']}/brokers"
    first = client.made(path, {"account": "one", "lots": 2})
    second = client.made(path, {"account": "two", "lots": 1, "limits": {"max_daily_loss": 5000}})
    assert first == {
        "id": "income.condor.one",
        "strategy_id": "income.condor",
        "version": 1,
        "account": "one",
        "lots": 2,
        "priority": 0,
    }
    assert (second["priority"], second["limits"]) == (1, {"max_daily_loss": 5000})
    assert client.get(path)["items"] == [first, second]
    changed = client.changed(f"{path}/{second['id']}", {"account": "two", "lots": 3})
    assert changed == {key: value for key, value in second.items() if key != "limits"} | {"lots": 3, "version": 2}
    assert client.send("DELETE", f"{path}/{first['id']}", If_Match='"1"').status_code == 204
    assert client.get(path)["items"] == [changed]
    assert client.made(path, {"account": "one", "lots": 1})["priority"] == 2


def test_legs_are_added_changed_and_removed_with_the_version_of_their_strategy(client: Client) -> None:
    path = f"strategies/{client.strategy()['id']}"
    wing = {"side": "BUY", "type": "CE", "strike": {"rule": "atm", "offset": 5}}
    made = client.made(f"{path}/legs", wing)
    assert (made["id"], made["version"], made["strategy_id"]) == ("3", 2, "income.0920-straddle")
    assert client.get(f"{path}/legs/3") == made
    assert [leg["id"] for leg in client.get(f"{path}/legs")["items"]] == ["1", "2", "3"]
    assert len(client.get(path)["legs"]) == 3
    changed = client.changed(f"{path}/legs/2", {"id": "2", **SHORT_PUT, "stop": {"percent": 30}})
    assert (changed["stop"], changed["version"]) == ({"percent": 30}, 3)
    naked = client.changed(path, client.get(path) | {"naked": True})
    assert naked["version"] == 4
    left = client.send("DELETE", f"{path}/legs/3", If_Match='"4"')
    assert [leg["id"] for leg in left.json()["legs"]] == ["1", "2"]
    assert left.headers["ETag"] == '"5"'


def test_lists_come_in_pages_and_by_basket(client: Client) -> None:
    names = [client.basket(name=f"b{number}")["id"] for number in range(3)]
    for name in names:
        for number in range(2):
            client.made(f"baskets/{name}/strategies", STRADDLE | {"name": f"s{number}"})
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"strategies?limit=4{cursor}")
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [f"b{basket}.s{number}" for basket in range(3) for number in range(2)]
    assert [each["id"] for each in client.get("strategies?basket_id=b1")["items"]] == ["b1.s0", "b1.s1"]
    assert [each["id"] for each in client.get("baskets?limit=2")["items"]] == names[:2]


# ---------------------------------------------------------------- versions and repeats


@pytest.mark.parametrize("place", ["baskets/{basket}", "{strategy}", "{strategy}/legs/1", "{strategy}/brokers/{own}"])
def test_nothing_is_changed_by_who_has_not_read_it(client: Client, place: str) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    names = {"basket": made["basket_id"], "strategy": f"strategies/{made['id']}", "own": made["allocations"][0]["id"]}
    path = place.format(**names)
    read = client.send("GET", path)
    etag = read.headers["ETag"]
    body = read.json()
    assert client.send("GET", path, If_None_Match=etag).status_code == 304
    for method, sent in (("PUT", body), ("DELETE", None)):
        assert problems(client.send(method, path, sent), "precondition-required") == {}
        assert problems(client.send(method, path, sent, If_Match='"9"'), "stale") == {}
    changed = client.send("PUT", path, body, If_Match=etag)
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert client.send("PUT", path, body, If_Match=etag).status_code == 412
    assert client.send("GET", path, If_None_Match=etag).status_code == 200


def test_of_two_who_change_the_same_version_one_is_told(client: Client) -> None:
    path = f"strategies/{client.strategy()['id']}"

    def change(number: int) -> int:
        return client.send("PUT", path, STRADDLE | {"units": number}, If_Match='"1"').status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(1, 9))) == [200, *[412] * 7]
    assert client.get(path)["version"] == 2


def test_a_post_that_comes_again_makes_one_thing(client: Client) -> None:
    def post() -> Json:
        answer = client.send("POST", "baskets", BASKET, Idempotency_Key="k-1")
        assert answer.status_code == 201
        found: Json = answer.json()
        return found

    assert post() == post()
    assert len(client.get("baskets")["items"]) == 1
    other = client.send("POST", "baskets", BASKET | {"capital": 1}, Idempotency_Key="k-1")
    assert set(problems(other)) == {"Idempotency-Key"}


def test_a_post_whose_answer_was_never_kept_makes_one_thing(client: Client) -> None:
    """As after a process that died between the commit and the answer."""
    client.basket()

    def post(path: str, body: Json) -> Json:
        answer = client.send("POST", path, body, Idempotency_Key="k-1")
        private, key = client.server.platform.private, (client.person.id, "k-1")
        client.server.ask(lambda: Repeats(private).forget(*key))
        found: Json = answer.json()
        return found

    for path, body in (
        ("baskets", BASKET | {"name": "Other"}),
        ("baskets/income/strategies", STRADDLE | {"allocations": [{"account": "one", "lots": 1}]}),
        ("strategies/income.0920-straddle/brokers", {"account": "two", "lots": 1}),
        ("strategies/income.0920-straddle/legs", SHORT_CALL),
    ):
        assert post(path, body) == post(path, body)
    assert len(client.get("strategies/income.0920-straddle")["legs"]) == 3
    assert len(client.get("baskets")["items"]) == 2


# ---------------------------------------------------------------- in use


def test_a_basket_with_strategies_stays_and_names_them(client: Client) -> None:
    made = client.strategy()
    answer = client.send("DELETE", "baskets/income", If_Match="*")
    assert users(answer) == [("strategy", made["id"])]
    assert client.send("DELETE", f"strategies/{made['id']}", If_Match="*").status_code == 204
    assert client.send("DELETE", "baskets/income", If_Match="*").status_code == 204


def claimed(client: Client, strategy_id: str, *, status: RunStatus = RunStatus.SCHEDULED) -> str:
    """A run of the strategy; its id on the wire."""
    books, user = client.server.platform.books, client.person.id

    async def claim() -> Run:
        strategy = await books.strategy(user, strategy_id)
        assert isinstance(strategy, Strategy)
        allocations = tuple(await books.current_allocations(user, strategy_id))
        made = await books.claim(replace(a_run(user, strategy), allocations=allocations, status=status))
        assert made is not None
        return made

    return public_run_id(client.server.ask(claim).id)


def test_what_an_open_run_trades_stays_and_names_the_run(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    run = claimed(client, made["id"])
    own = f"strategies/{made['id']}/brokers/{made['allocations'][0]['id']}"
    for path in (f"strategies/{made['id']}", own):
        assert users(client.send("DELETE", path, If_Match="*")) == [("run", run)]
    later = client.made(f"strategies/{made['id']}/brokers", {"account": "two", "lots": 1})
    path = f"strategies/{made['id']}/brokers/{later['id']}"
    assert client.send("DELETE", path, If_Match="*").status_code == 204


def test_the_id_of_a_strategy_that_has_traded_is_not_given_again(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    claimed(client, made["id"], status=RunStatus.SKIPPED)
    assert client.send("DELETE", f"strategies/{made['id']}", If_Match="*").status_code == 204
    assert client.made("baskets/income/strategies", STRADDLE)["id"] == f"{made['id']}-2"


def test_an_edit_beside_an_open_run_says_from_when_it_counts(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    run = claimed(client, made["id"], status=RunStatus.ACTIVE)
    changed = client.changed(f"strategies/{made['id']}", STRADDLE | {"exit": "14:00"})
    assert (changed["version"], changed["counts_from"]) == (2, "next_entry")
    assert changed["open_runs"] == [{"id": run, "version": 1, "exit_at": "2026-11-24T15:15:00+05:30"}]


def test_an_edit_reaches_a_run_that_is_claimed_and_not_entered(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    claimed(client, made["id"])
    assert client.changed(f"strategies/{made['id']}", STRADDLE | {"exit": "14:00"})["open_runs"] == []


def test_a_leg_that_something_needs_stays_and_names_what(client: Client) -> None:
    path = f"strategies/{client.strategy(CONDOR)['id']}/legs"
    assert users(client.send("DELETE", f"{path}/call-wing", If_Match="*")) == [("leg", "call")]
    assert users(client.send("DELETE", f"{path}/call", If_Match="*")) == [("leg", "call-wing")]
    lots = {"call": 1, "call-wing": 1}
    own = client.made("strategies/income.condor/brokers", {"account": "one", "leg_lots": lots})
    needed = users(client.send("DELETE", f"{path}/call-wing", If_Match="*"))
    assert needed == [("leg", "call"), ("allocation", own["id"])]
    single = client.made("baskets/income/strategies", STRADDLE | {"legs": [SHORT_CALL], "name": "Single"})
    answer = client.send("DELETE", f"strategies/{single['id']}/legs/1", If_Match="*")
    assert users(answer) == [("strategy", single["id"])]


# ---------------------------------------------------------------- refused


def test_everything_wrong_is_told_with_its_path(client: Client) -> None:
    client.basket()
    body = STRADDLE | {
        "entry": "9:20",
        "unknown": 1,
        "legs": [SHORT_CALL | {"ratio": 0}, SHORT_PUT | {"stop": {"percent": None}}],
        "allocations": [{"account": "nobody", "lots": 1}],
    }
    told = problems(client.send("POST", "baskets/income/strategies", body))
    assert set(told) == {"entry", "unknown", "legs[0].ratio", "legs[1].stop.percent", "allocations[0].account"}
    assert told["allocations[0].account"].startswith('"nobody" is not the id of one of your broker accounts')
    assert told["legs[1].stop.percent"].startswith("null is no value")
    assert client.get("strategies")["items"] == []


def test_lots_that_lose_cover_are_refused_where_they_stand(client: Client) -> None:
    client.basket()
    lots = {"call": 1, "put": 1, "put-wing": 1}
    bad = {"account": "one", "leg_lots": lots}
    told = problems(client.send("POST", "baskets/income/strategies", CONDOR | {"allocations": [bad]}))
    assert set(told) == {"allocations[0].leg_lots"}
    client.made("baskets/income/strategies", CONDOR)
    path = "strategies/income.condor/brokers"
    assert set(problems(client.send("POST", path, bad))) == {"leg_lots"}
    made = client.made(path, {"account": "one", "lots": 1})
    assert set(problems(client.send("PUT", f"{path}/{made['id']}", bad, If_Match="*"))) == {"leg_lots"}


def test_a_rule_that_would_leave_a_short_uncovered_is_refused_without_allocations_too(client: Client) -> None:
    made = client.strategy(CONDOR)
    body = client.get(f"strategies/{made['id']}")
    body["legs"][2]["stop"] = {"percent": 50}
    told = problems(client.send("PUT", f"strategies/{made['id']}", body, If_Match="*"))
    assert set(told) == {"legs[2].stop"}
    leg = client.get(f"strategies/{made['id']}/legs/call-wing")
    leg["stop"] = {"percent": 50}
    told = problems(client.send("PUT", f"strategies/{made['id']}/legs/call-wing", leg, If_Match="*"))
    assert set(told) == {"stop"}


def test_an_edit_that_breaks_stored_allocations_names_them_by_account(client: Client) -> None:
    lots = {"call": 1, "call-wing": 1}
    limited = {"account": "two", "lots": 1, "limits": {"max_lots": 4}}
    made = client.strategy(CONDOR, allocations=[{"account": "one", "leg_lots": lots}, limited])
    path = f"strategies/{made['id']}"
    body = client.get(path)
    renamed = [leg | {"id": "wing"} if leg["id"] == "call-wing" else leg for leg in body["legs"]]
    told = problems(client.send("PUT", path, body | {"legs": renamed}, If_Match="*"))
    assert set(told) == {"allocations[one].leg_lots.call-wing"}
    doubled = [leg | {"ratio": 2} for leg in body["legs"]]
    told = problems(client.send("PUT", path, body | {"legs": doubled}, If_Match="*"))
    assert set(told) == {"allocations[two].limits.max_lots"}
    told = problems(client.send("POST", f"{path}/legs", SHORT_CALL))
    assert set(told) == {"allocations[two].limits.max_lots"}
    assert client.get(path)["version"] == 1


def test_a_leg_that_contradicts_its_strategy_names_the_strategy(client: Client) -> None:
    path = f"strategies/{client.strategy(move_stop_to_cost=True, legs=[SHORT_CALL | STOP, SHORT_PUT | STOP])['id']}"
    told = problems(client.send("PUT", f"{path}/legs/1", SHORT_CALL, If_Match="*"))
    assert set(told) == {""}
    client.changed(path, client.get(path) | {"legs": [leg | STOP for leg in client.get(path)["legs"]]})
    answer = client.send("DELETE", f"{path}/legs/1", If_Match="*")
    assert set(problems(answer)) == {"strategy.move_stop_to_cost"}


def test_an_allocation_stays_on_its_account_and_is_the_only_one_there(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    path = f"strategies/{made['id']}/brokers"
    own = f"{path}/{made['allocations'][0]['id']}"
    assert set(problems(client.send("PUT", own, {"account": "two", "lots": 1}, If_Match="*"))) == {"account"}
    assert set(problems(client.send("POST", path, {"account": "one", "lots": 1}))) == {"account"}
    twin = client.send("POST", path, {"account": "two", "lots": 1, "priority": 0})
    assert set(problems(twin)) == {"priority"}


def test_a_live_basket_takes_no_paper_account(client: Client) -> None:
    client.account("real", "zerodha")
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    live = BASKET | {"mode": "live"}
    assert set(problems(client.send("PUT", "baskets/income", live, If_Match="*"))) == {"mode"}
    own = f"strategies/{made['id']}/brokers/{made['allocations'][0]['id']}"
    assert client.send("DELETE", own, If_Match="*").status_code == 204
    assert client.changed("baskets/income", live)["mode"] == "live"
    path = f"strategies/{made['id']}/brokers"
    assert set(problems(client.send("POST", path, {"account": "one", "lots": 1}))) == {"account"}
    client.made(path, {"account": "real", "lots": 1})


def test_policies_come_before_what_shares_them_and_stay_while_it_does(client: Client) -> None:
    policy = {"id": "by-result", "total": 4, "least": 2, "most": 3}
    client.basket(dynamic=[policy])
    shares = {"allocations": [{"account": "one", "dynamic": "by-result"}]}
    for name in ("a", "b"):
        client.made("baskets/income/strategies", STRADDLE | shares | {"name": name})
    third = client.send("POST", "baskets/income/strategies", STRADDLE | shares | {"name": "c"})
    told = problems(third)
    assert set(told) == {"allocations[0].dynamic"}
    assert "3 x 2 is more than 4" in told["allocations[0].dynamic"]
    alone = client.made("baskets/income/strategies", STRADDLE | {"name": "c"})
    late = client.send("POST", f"strategies/{alone['id']}/brokers", shares["allocations"][0])
    assert set(problems(late)) == {"dynamic"}
    assert set(problems(client.send("PUT", "baskets/income", BASKET, If_Match="*"))) == {"dynamic"}
    fewer = BASKET | {"dynamic": [policy | {"total": 3}]}
    assert set(problems(client.send("PUT", "baskets/income", fewer, If_Match="*"))) == {"dynamic[0].least"}
    client.changed("baskets/income", BASKET | {"dynamic": [policy | {"total": 6}]})


def test_what_an_answer_adds_may_be_sent_back_but_not_changed(client: Client) -> None:
    made = client.get(f"strategies/{client.strategy()['id']}")
    path = f"strategies/{made['id']}"
    for wrong in ({"id": "other"}, {"version": 2}, {"version": True}, {"version": 1.0}, {"basket_id": None}):
        assert set(problems(client.send("PUT", path, made | wrong, If_Match="*"))) == set(wrong)
    assert set(problems(client.send("POST", "baskets/income/strategies", made))) == {"id", "basket_id", "version"}
    allocations = {"allocations": [{"account": "one", "lots": 1}]}
    assert set(problems(client.send("PUT", path, made | allocations, If_Match="*"))) == {"allocations"}


def test_an_eleventh_strategy_is_refused(client: Client) -> None:
    client.basket()
    for number in range(10):
        client.made("baskets/income/strategies", STRADDLE | {"name": f"s{number}"})
    told = problems(client.send("POST", "baskets/income/strategies", STRADDLE))
    assert set(told) == {"basket_id"}


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{}",
        b'{"name": 1e400, "capital": 1e400}',
        b'{"name": "x", "capital": 1e9999999}',
        b'{"name": "x", "capital": 1e-9999999}',
        b'{"name": "x", "capital": 1e99999999999999999999}',
        b'{"name": "x", "capital": NaN}',
        b'{"name": "x", "capital": ' + b"9" * 5000 + b"}",
        b'{"name": "x\\u0000", "capital": 1}',
        b'{"name": "\\ud800", "capital": 1}',
        b'{"name": "x", "capital": 1, "\\u0000": 1}',
        b'{"name": "x", "name": "y", "capital": 1}',
        b'{"name": "x", "capital": true}',
        b'{"name": "x", "capital": "500000"}',
        b'{"name": "x", "capital": 1, "dynamic": {}}',
        b'{"name": "x", "capital": 1, "dynamic": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"name": "x", "capital": 1, "dynamic": ' + b"[" * 100_000,
        b"\xff\xfe",
        b"",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_whatever_is_sent_is_refused_and_never_fails(client: Client, body: bytes) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    path = f"strategies/{made['id']}"
    for method, where in (
        ("POST", "baskets"),
        ("PUT", "baskets/income"),
        ("POST", "baskets/income/strategies"),
        ("PUT", path),
        ("POST", f"{path}/legs"),
        ("PUT", f"{path}/legs/1"),
        ("POST", f"{path}/brokers"),
        ("PUT", f"{path}/brokers/{made['allocations'][0]['id']}"),
    ):
        headers = {"Content-Type": "application/json", "If-Match": "*"}
        answer = client.person.http.request(method, f"/options/{where}", content=body, headers=headers)
        assert answer.status_code in {400, 422}, (where, answer.text)


@pytest.mark.parametrize("name", ["nothing", "a%23b", "%23", "%00", "x" * 3000, "%F0%9F%98%80", "a%2Fb", "%ff"])
def test_an_id_of_any_shape_that_is_none_is_not_found(client: Client, name: str) -> None:
    client.strategy()
    for path in (f"baskets/{name}", f"strategies/{name}", f"strategies/income.0920-straddle/legs/{name}"):
        for method, body in (("GET", None), ("PUT", STRADDLE), ("DELETE", None)):
            answer = client.send(method, path, body, If_Match="*")
            assert answer.status_code in {404, 405}, (method, path, answer.text)
    path = f"strategies/income.0920-straddle/brokers/{name}"
    assert client.send("GET", path).status_code == 404


def test_what_is_another_s_is_answered_as_what_never_was(server: Server, client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    other = Client(server, server.user(f"other-{next(NUMBERS)}@example.org"))
    strategy, own = f"strategies/{made['id']}", made["allocations"][0]["id"]
    bodies: dict[str, Json] = {"": STRADDLE, "/legs": SHORT_CALL, "/brokers": {"account": "one", "lots": 1}}
    asked: list[tuple[str, str, Json | None]] = [
        ("POST", "baskets/income/strategies", STRADDLE),
        *((method, "baskets/income", BASKET) for method in ("GET", "PUT", "DELETE")),
        *((method, strategy, STRADDLE) for method in ("GET", "PUT", "DELETE")),
        *((method, f"{strategy}{part}", bodies[part]) for part in ("/legs", "/brokers") for method in ("GET", "POST")),
        *((method, f"{strategy}/legs/1", SHORT_CALL) for method in ("GET", "PUT", "DELETE")),
        *((method, f"{strategy}/brokers/{own}", bodies["/brokers"]) for method in ("GET", "PUT", "DELETE")),
    ]
    for method, path, body in asked:
        nothing = path.replace("income", "nowhere")
        sent = None if method in {"GET", "DELETE"} else body
        answers = [other.send(method, each, sent, If_Match='"1"') for each in (path, nothing)]
        told = [each.json() | {"instance": ""} for each in answers]
        assert answers[0].status_code == 404, (method, path)
        assert told[0] == told[1]
    assert client.get(strategy)["version"] == 1


# ---------------------------------------------------------------- published


def test_answers_are_as_published(client: Client) -> None:
    schemas = {"components": {"schemas": plan_schemas()}}

    def valid(name: str, content: object) -> None:
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas}).validate(content)

    made = client.strategy(CONDOR, allocations=[{"account": "one", "lots": 1}])
    path = f"strategies/{made['id']}"
    claimed(client, made["id"])
    valid("CreatedStrategy", made)
    valid("EditedStrategy", client.changed(path, client.get(path)))
    for name, where in (
        ("StoredBasket", "baskets/income"),
        ("BasketPage", "baskets"),
        ("StoredStrategy", path),
        ("StrategyPage", "strategies"),
        ("StoredLeg", f"{path}/legs/call"),
        ("LegPage", f"{path}/legs"),
        ("StoredAllocation", f"{path}/brokers/{made['allocations'][0]['id']}"),
        ("AllocationPage", f"{path}/brokers"),
    ):
        valid(name, client.get(where))


def test_every_published_example_is_taken_or_valid(client: Client) -> None:
    document = client.person.http.get("/openapi.json").json()
    routes = [
        operation
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation["tags"][0] in {"baskets", "strategies", "legs", "allocations"} and "summary" not in path
    ]
    assert len(routes) == 20
    shown = [part for each in routes for part in contents(each)]
    assert len(shown) > 20
    for each in shown:
        schema = {**each["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(each["example"])


def contents(operation: Json) -> Iterator[Json]:
    """Every JSON body and answer of a route."""
    for part in (operation.get("requestBody"), *operation["responses"].values()):
        found = (part or {}).get("content", {}).get("application/json")
        if found is not None:
            yield found


async def history(client: Client) -> list[tuple[str, str, str]]:
    books, user = client.server.platform.books, client.person.id
    start, end = at(DAY, time(0)), at(DAY, time(23, 59))
    found = []
    async for kind, item in books.history(user, start, end):
        if kind == "EVENT":
            occurrence = codec.decode(item.body, Occurrence)
            found.append((occurrence.what.value, occurrence.actor, occurrence.cause))
    return found


def test_every_edit_is_in_the_history_with_its_user(client: Client) -> None:
    made = client.strategy(allocations=[{"account": "one", "lots": 1}])
    client.changed("baskets/income", BASKET | {"paused": True})
    client.send("DELETE", f"strategies/{made['id']}", If_Match="*")
    told = client.server.ask(lambda: history(client))
    mine = sorted(each for each in told if each[1] == client.person.id)
    whats = ["allocation_saved", "basket_saved", "paused", "strategy_deleted", "strategy_saved"]
    assert mine == [(what, client.person.id, "api") for what in whats]
