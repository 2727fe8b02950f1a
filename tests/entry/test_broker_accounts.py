"""Broker accounts over HTTP: secrets that go in and never come out, and accounts that are in use."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from option_baskets.adapters.templates import template
from option_baskets.api.account_bodies import schemas
from option_baskets.domain.basket import BrokerAccount, Schedule
from option_baskets.domain.errors import Unavailable
from option_baskets.entrance import IDENTITY_FILE
from option_baskets.store.secrets import Secrets
from option_baskets.wiring import PAPER_FILE, TRADING_FILE
from tests.entry.served import Person, Server, serve, served  # noqa: F401

PATH = "/broker-accounts"
KITE = {"api_key": "kite-key-5512", "api_secret": "kite-s3cret-9f27e1"}
NEWER = {"api_key": "kite-key-5512", "api_secret": "kite-s3cret-0000aa", "access_token": "kite-t0ken-77"}
ANGEL = {"api_key": "angel-key-3", "client_code": "A123456", "pin": "881234", "totp_secret": "JBSWY3DPEHPK3PXP"}
ZERODHA = {"id": "zerodha-1", "broker": "zerodha", "secret": KITE}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for what leaves nothing behind but in its own user's part."""
    with serve(tmp_path_factory.mktemp("lasting") / "data") as server:
        yield server


@pytest.fixture
def ann(served: Server) -> Person:  # noqa: F811
    return served.user("ann@example.org")


def added(person: Person, **account: Any) -> dict[str, Any]:
    answer = person.http.post(PATH, json=account)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["type"].endswith(f"/{kind}"), found
    return found


def errors(answer: httpx.Response) -> dict[str, str]:
    return {each["where"]: each["message"] for each in problem(answer, 422, "invalid")["errors"]}


def opened(server: Server, person: Person, account: str) -> dict[str, str]:
    """What the vault keeps, for which no route asks."""
    secrets = Secrets(server.platform.private, server.platform.vault)
    return dict(server.ask(lambda: secrets.open_secret(person.id, account)))


# ---------------------------------------------------------------- accounts


def test_an_account_that_is_added_is_listed_and_says_which_secrets_are_set_and_none_of_them(
    served: Server,  # noqa: F811
    ann: Person,
) -> None:
    answer = ann.http.post(PATH, json=ZERODHA | {"max_daily_loss": 20000.5})
    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, f"{PATH}/zerodha-1", '"1"')
    account = answer.json()
    assert {key: account[key] for key in ("id", "broker", "charges_as", "max_daily_loss", "version")} == {
        "id": "zerodha-1",
        "broker": "zerodha",
        "charges_as": "zerodha",
        "max_daily_loss": 20000.5,
        "version": 1,
    }
    fields = {each["name"]: (each["required"], each["is_set"]) for each in account["secret"]["fields"]}
    assert fields == {"api_key": (True, True), "api_secret": (True, True), "access_token": (False, False)}
    assert account["secret"]["is_complete"] is True
    assert account["secret"]["rotated_at"] is not None
    assert not any(value in answer.text for value in KITE.values())
    assert ann.http.get(f"{PATH}/zerodha-1").json() == account
    assert ann.http.get(PATH).json() == {"items": [account], "next": None}
    assert opened(served, ann, "zerodha-1") == KITE


def test_accounts_of_all_brokers_are_listed_page_by_page(ann: Person) -> None:
    shoonya = {"user_id": "FA1", "client_id": "c1", "client_secret": "s1"}
    added(ann, id="paper-1", charges_as="angelone")
    added(ann, **ZERODHA)
    added(ann, id="angel-1", broker="angelone", secret=ANGEL)
    added(ann, id="shoonya-1", broker="shoonya", secret=shoonya)
    added(ann, id="zerodha-2", broker="zerodha")
    found, cursor = [], None
    while True:
        page = ann.http.get(PATH, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [(each["id"], each["secret"]["is_complete"]) for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == [
        ("angel-1", True),
        ("paper-1", True),
        ("shoonya-1", True),
        ("zerodha-1", True),
        ("zerodha-2", False),
    ]


def test_accounts_of_basket_files_are_there_without_secrets(served: Server, ann: Person) -> None:  # noqa: F811
    books = served.platform.books
    served.ask(lambda: books.save_account(ann.id, BrokerAccount(id="angel-1", broker="angelone")))
    (account,) = ann.http.get(PATH).json()["items"]
    assert (account["secret"]["is_complete"], account["secret"]["rotated_at"]) == (False, None)
    answer = ann.http.put(f"{PATH}/angel-1/secret", json=ANGEL)
    assert answer.json()["secret"]["is_complete"] is True


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, {"id"}),
        ({"id": "a#b"}, {"id"}),
        ({"id": "a", "broker": "icici"}, {"broker"}),
        ({"id": "a", "broker": "zerodha", "charges_as": "angelone"}, {"charges_as"}),
        ({"id": "a", "max_daily_loss": -1}, {"max_daily_loss"}),
        ({"id": "a", "max_daily_loss": "100"}, {"max_daily_loss"}),
        ({"id": "a", "api_secret": KITE["api_secret"]}, {"api_secret"}),
        ({"id": "a", "secret": KITE}, {"secret"}),
        ({"id": "a", "broker": "zerodha", "secret": KITE["api_secret"]}, {"secret"}),
        ({"id": "a", "broker": "zerodha", "secret": {}}, {"secret.api_key", "secret.api_secret"}),
        ({"id": "a", "broker": "zerodha", "secret": KITE | {"pin": "881234"}}, {"secret.pin"}),
        ({"id": "a", "broker": "zerodha", "secret": KITE | {KITE["api_secret"]: "x"}}, {"secret"}),
        ({"id": "a", "broker": "angelone", "secret": ANGEL | {"pin": 881234}}, {"secret.pin"}),
        (["id"], {""}),
    ],
)
def test_what_is_wrong_with_an_account_is_told_by_field_and_nothing_is_kept(
    lasting: Server, body: object, where: set[str]
) -> None:
    ann = lasting.user("wrong@example.org")
    answer = ann.http.post(PATH, json=body)
    assert set(errors(answer)) == where
    assert not any(value in answer.text for value in (*KITE.values(), *ANGEL.values()))
    assert ann.http.get(PATH).json()["items"] == []
    secrets = Secrets(lasting.platform.private, lasting.platform.vault)
    assert lasting.ask(lambda: secrets.secrets(ann.id)) == []


def test_an_id_is_taken_once_and_the_second_secrets_are_not_kept(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, **ZERODHA)
    found = problem(ann.http.post(PATH, json=ZERODHA | {"secret": NEWER}), 409, "conflict")
    assert "zerodha-1 already" in found["detail"]
    assert opened(served, ann, "zerodha-1") == KITE


def test_a_post_sent_again_with_its_key_adds_one_account(ann: Person) -> None:
    key = {"Idempotency-Key": "add-1"}
    first, second = (ann.http.post(PATH, json=ZERODHA, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    assert len(ann.http.get(PATH).json()["items"]) == 1


def test_a_change_needs_the_version_it_changes_and_leaves_secrets_alone(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, **ZERODHA, max_daily_loss=1000)
    path = f"{PATH}/zerodha-1"
    problem(ann.http.put(path, json={"max_daily_loss": 5}), 428, "precondition-required")
    problem(ann.http.put(path, json={"max_daily_loss": 5}, headers={"If-Match": '"9"'}), 412, "stale")
    answer = ann.http.put(path, json={"id": "zerodha-1", "max_daily_loss": 2500}, headers={"If-Match": '"1"'})
    assert (answer.json()["max_daily_loss"], answer.json()["version"], answer.headers["etag"]) == (2500, 2, '"2"')
    assert ann.http.get(path, headers={"If-None-Match": '"2"'}).status_code == 304
    assert ann.http.get(path, headers={"If-None-Match": '"1"'}).status_code == 200
    assert opened(served, ann, "zerodha-1") == KITE
    for body in ({"broker": "angelone"}, {"id": "other"}, {"secret": NEWER}):
        (where,) = errors(ann.http.put(path, json=body, headers={"If-Match": '"2"'}))
        assert where == next(iter(body))
    answer = ann.http.put(path, json={"max_daily_loss": None}, headers={"If-Match": '"2"'})
    assert answer.json()["max_daily_loss"] is None


def test_rotated_secrets_take_the_place_of_the_old_ones(served: Server, ann: Person) -> None:  # noqa: F811
    before = added(ann, **ZERODHA)
    answer = ann.http.put(f"{PATH}/zerodha-1/secret", json=NEWER)
    after = answer.json()
    assert (answer.status_code, after["version"], answer.headers["etag"]) == (200, 2, '"2"')
    assert after["secret"]["rotated_at"] > before["secret"]["rotated_at"]
    assert all(each["is_set"] for each in after["secret"]["fields"])
    assert opened(served, ann, "zerodha-1") == NEWER
    assert set(errors(ann.http.put(f"{PATH}/zerodha-1/secret", json={"api_key": "k"}))) == {"api_secret"}
    assert opened(served, ann, "zerodha-1") == NEWER
    assert ann.http.delete(f"{PATH}/zerodha-1/secret").status_code == 204
    assert ann.http.get(f"{PATH}/zerodha-1").json()["secret"]["is_complete"] is False


def test_a_removed_account_takes_its_secrets_with_it(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, **ZERODHA)
    problem(ann.http.delete(f"{PATH}/zerodha-1"), 428, "precondition-required")
    assert ann.http.delete(f"{PATH}/zerodha-1", headers={"If-Match": '"1"'}).status_code == 204
    problem(ann.http.get(f"{PATH}/zerodha-1"), 404, "not-found")
    secrets = Secrets(served.platform.private, served.platform.vault)
    assert served.ask(lambda: secrets.secrets(ann.id)) == []
    assert added(ann, id="zerodha-1", broker="zerodha")["secret"]["is_complete"] is False


def test_an_account_in_use_is_not_removed_and_what_uses_it_is_named(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, id="paper-1")
    file, books = template("iron-condor").basket, served.platform.books
    strategy = replace(file.strategies[0], schedule=Schedule(entry=time(9, 25), exit=time(9, 45)))
    allocation = replace(file.of(strategy)[0], account="paper-1")
    served.ask(lambda: books.save_basket(ann.id, file.basket))
    served.ask(lambda: books.save_strategy(ann.id, strategy))
    served.ask(lambda: books.save_allocation(ann.id, allocation))
    path, match = f"{PATH}/paper-1", {"If-Match": "*"}
    used = [{"kind": "allocation", "id": allocation.id, "name": strategy.name}]
    assert problem(ann.http.delete(path, headers=match), 409, "in-use")["used_by"] == used

    served.until("09:26")
    found = problem(ann.http.delete(path, headers=match), 409, "in-use")["used_by"]
    assert found[0] == used[0]
    assert [(each["kind"], each["name"]) for each in found[1:]] == [("run", strategy.name)]
    assert ann.http.get(f"/options/executions/{found[1]['id']}").status_code == 200
    served.ask(lambda: books.delete_allocation(ann.id, allocation.id))
    assert problem(ann.http.delete(path, headers=match), 409, "in-use")["used_by"] == found[1:]

    served.until("09:50")
    assert ann.http.delete(path, headers=match).status_code == 204


# ---------------------------------------------------------------- whose it is


@pytest.mark.parametrize("account", ["zerodha-1", "never-was", "a%23b", "x" * 300, "%20", "%F0%9F%92%A9"])
def test_the_accounts_of_another_answer_as_those_that_never_were(lasting: Server, account: str) -> None:
    ann, bob = lasting.user("ann@example.org"), lasting.user("bob@example.org").http
    if not ann.http.get(PATH).json()["items"]:
        added(ann, **ZERODHA)
    path, match = f"{PATH}/{account}", {"If-Match": '"1"'}
    asked = [
        bob.get(path),
        bob.put(path, json={"max_daily_loss": 1}, headers=match),
        bob.delete(path, headers=match),
        bob.put(f"{path}/secret", json=KITE),
        bob.delete(f"{path}/secret"),
        bob.post(f"{path}/test"),
    ]
    details = {problem(each, 404, "not-found")["detail"] for each in asked}
    assert details == {"there is no such account"}
    assert bob.get(PATH).json()["items"] == []
    assert opened(lasting, ann, "zerodha-1") == KITE


def test_without_a_token_nothing_is_told(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, **ZERODHA)
    for asked in (served.http.get(PATH), served.http.get(f"{PATH}/zerodha-1"), served.http.post(PATH, json=ZERODHA)):
        problem(asked, 401, "unauthenticated")


# ---------------------------------------------------------------- the connection


def test_the_test_of_a_paper_account_asks_the_exchange(served: Server, ann: Person) -> None:  # noqa: F811
    added(ann, id="paper-1")
    assert ann.http.post(f"{PATH}/paper-1/test").json() == {
        "result": "connected",
        "detail": "paper shows 0 orders of today and 0 open positions",
        "orders": 0,
        "positions": 0,
    }


def test_the_test_of_a_broker_without_a_connection_says_so_and_claims_nothing(ann: Person) -> None:
    added(ann, **ZERODHA)
    found = ann.http.post(f"{PATH}/zerodha-1/test").json()
    assert (found["result"], found["orders"], found["positions"]) == ("no_connection", None, None)
    assert "no connection to zerodha" in found["detail"]


# ---------------------------------------------------------------- secrets leak nowhere


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything any logger says, at its most talkative."""
    lines: list[str] = []

    class Ears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record) + repr(record.__dict__))

    ears, root = Ears(level=logging.DEBUG), logging.getLogger()
    names = [name for name in logging.root.manager.loggerDict if not name.startswith(("httpcore", "httpx"))]
    loggers = [root, *map(logging.getLogger, names)]
    before = [(each, each.level, each.propagate, each.disabled) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate, each.disabled = True, False
    root.addHandler(ears)
    yield lines
    root.removeHandler(ears)
    for each, level, propagate, disabled in before:
        each.setLevel(level)
        each.propagate, each.disabled = propagate, disabled


def test_no_answer_no_log_and_no_file_has_a_secret_in_plain(
    logged: list[str],
    served: Server,  # noqa: F811
    ann: Person,
    tmp_path: Path,
) -> None:
    values = {*KITE.values(), *NEWER.values(), *ANGEL.values()}
    path = f"{PATH}/zerodha-1"
    match = {"If-Match": "*"}
    keyed = {"Idempotency-Key": "again"}
    wrong = {f"x-{KITE['api_secret']}": KITE["api_secret"]}
    answers = [
        ann.http.post(PATH, json=ZERODHA, headers=keyed),
        ann.http.post(PATH, json=ZERODHA, headers=keyed),
        ann.http.post(PATH, json=ZERODHA),
        ann.http.post(PATH, json={"id": "angel-1", "broker": "angelone", "secret": ANGEL}),
        ann.http.post(PATH, json={"id": "b", "broker": "zerodha", "secret": KITE | wrong}),
        ann.http.post(PATH, json={"id": "c", "broker": "paper", "secret": KITE}),
        ann.http.post(PATH, content=f'{{"secret": "{KITE["api_secret"]}', headers={"Content-Type": "application/json"}),
        ann.http.put(f"{path}/secret", json=NEWER),
        ann.http.put(f"{path}/secret", json=wrong),
        ann.http.put(f"{path}/secret", json=[NEWER["api_secret"]]),
        ann.http.put(path, json={"secret": NEWER}, headers=match),
        ann.http.put(path, json={"max_daily_loss": 5}, headers=match),
        ann.http.post(f"{path}/test"),
        ann.http.get(path),
        ann.http.get(PATH),
        ann.http.get("/options/history"),
    ]
    assert {each.status_code for each in answers} >= {200, 201, 400, 409, 422}
    key_file = served.open.entrance.vault.path
    sound = key_file.read_bytes()
    key_file.write_bytes(b"damaged")
    answers.append(ann.http.put(f"{path}/secret", json=KITE))
    problem(answers[-1], 503, "unavailable")
    key_file.write_bytes(sound)
    assert not any(value in each.text + str(each.headers) for each in answers for value in values)

    logging.getLogger("option_baskets").warning("the ears hear: %s", "warnings too")
    assert any("the ears hear" in line for line in logged)
    assert not any(value in line for line in logged for value in values)

    files = {each: each.read_bytes() for each in (tmp_path / "data").rglob("*") if each.is_file()}
    assert {IDENTITY_FILE, TRADING_FILE, PAPER_FILE} <= {each.name for each in files}
    assert b"ACCOUNT#zerodha-1" in files[tmp_path / "data" / IDENTITY_FILE] + files.get(
        tmp_path / "data" / f"{IDENTITY_FILE}-wal", b""
    )
    found = [(path.name, value) for path, content in files.items() for value in values if value.encode() in content]
    assert found == []
    assert opened(served, ann, "zerodha-1") == NEWER


def test_secrets_whose_key_is_gone_are_told_as_such_when_opened_and_can_be_given_anew(
    served: Server,  # noqa: F811
    ann: Person,
) -> None:
    added(ann, **ZERODHA)
    vault = served.open.entrance.vault
    kept = vault.path.rename(vault.path.with_name("kept"))
    found = problem(ann.http.put(f"{PATH}/zerodha-1/secret", json=NEWER), 503, "unavailable")
    assert "put the copy of it back" in found["detail"]
    with pytest.raises(Unavailable):
        opened(served, ann, "zerodha-1")
    kept.rename(vault.path)
    assert opened(served, ann, "zerodha-1") == KITE


# ---------------------------------------------------------------- what is published


def test_the_schemas_of_bodies_take_what_the_routes_take_and_name_every_field(lasting: Server) -> None:
    found = schemas()
    registry = {"$defs": found}

    def validator(name: str) -> Draft202012Validator:
        text = json.dumps(registry | found[name]).replace("#/components/schemas/", "#/$defs/")
        return Draft202012Validator(json.loads(text))

    new, edit, secret = map(validator, ("NewAccount", "AccountEdit", "AccountSecret"))
    shoonya = {"user_id": "FA1", "client_id": "c1", "client_secret": "s1"}
    taken: list[dict[str, Any]] = [
        {"id": "paper-1"},
        {"id": "paper-2", "broker": "paper", "charges_as": "angelone", "max_daily_loss": 100.25, "secret": None},
        ZERODHA,
        {"id": "angel-1", "broker": "angelone", "secret": ANGEL},
        {"id": "shoonya-1", "broker": "shoonya", "charges_as": "shoonya", "secret": shoonya},
        {"id": "zerodha-2", "broker": "zerodha", "max_daily_loss": None},
    ]
    person = lasting.user("schemas@example.org")
    for body in taken:
        new.validate(body)
        added(person, **body)
    for values in (KITE, NEWER, ANGEL, shoonya):
        secret.validate(values)
    account = person.http.get(f"{PATH}/paper-2").json()
    edit.validate(account | {"secret": None})
    for body in ({"id": "a", "secret": KITE}, {"id": "a", "broker": "zerodha", "secret": ANGEL}, {"broker": "paper"}):
        assert not new.is_valid(body)
        assert person.http.post(PATH, json=body).status_code == 422
