"""What a request may cost, and what it may not do, whoever sends it."""

import json
import logging
import socket
from time import process_time

import httpx
import pytest

from tests.entry.served import Server, served  # noqa: F401

JSON = {"Content-Type": "application/json"}
NO_TIME = 4.0
"""Seconds of this process, of which such bodies took several times as many."""


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[-1]


def object_of(pairs: int, *more: str) -> bytes:
    return ("{" + ",".join([*(f'"k{number}":0' for number in range(pairs)), *more]) + "}").encode()


def test_a_key_given_twice_among_thousands_is_found_in_no_time_without_a_login(served: Server) -> None:  # noqa: F811
    began = process_time()
    answer = served.http.post("/auth/login", content=object_of(17_000, '"k16999":0'), headers=JSON)
    assert (answer.status_code, kind(answer)) in {(400, "malformed"), (413, "too-large")}
    answer = served.user().http.post("/options/baskets", content=object_of(15_000, '"k14999":0'), headers=JSON)
    assert (answer.status_code, kind(answer)) == (400, "malformed")
    assert "'k14999' is given twice" in answer.json()["detail"]
    assert process_time() - began < NO_TIME


@pytest.mark.parametrize("body", [object_of(1_500), b"[" + b"0," * 8_000 + b"0]", b'"' + b"x" * 25_000 + b'"'])
def test_a_form_that_is_larger_than_any_is_not_looked_through(served: Server, body: bytes) -> None:  # noqa: F811
    answer = served.http.post("/auth/login", content=body, headers=JSON)
    assert (answer.status_code, kind(answer)) == (413, "too-large")


def test_a_plan_with_more_values_than_any_has_is_not_looked_through(served: Server) -> None:  # noqa: F811
    person = served.user()
    answer = person.http.post("/options/baskets", content=object_of(3_000), headers=JSON)
    assert (answer.status_code, kind(answer)) == (413, "too-large")
    answer = person.http.put("/options/limits", content=b"[" + b"0," * 99_000 + b"0]", headers=JSON | {"If-Match": "*"})
    assert (answer.status_code, kind(answer)) == (413, "too-large")


def test_of_a_thousand_unknown_keys_the_number_is_told_and_not_each(served: Server) -> None:  # noqa: F811
    began = process_time()
    answer = served.user().http.post("/options/baskets", content=object_of(1_500), headers=JSON)
    assert (answer.status_code, kind(answer)) == (422, "invalid")
    assert any("has 1500 keys that are none" in each["message"] for each in answer.json()["errors"])
    assert len(answer.content) < 5_000
    assert process_time() - began < NO_TIME


def test_a_number_beyond_every_number_is_told_in_words(served: Server) -> None:  # noqa: F811
    body = json.dumps({"max_daily_loss": 0}).replace("0", "1e99999999999999999999")
    answer = served.user().http.put("/options/limits", content=body, headers=JSON | {"If-Match": "*"})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "the body is not JSON: 1e99999999999999999999 is beyond every number"


@pytest.mark.parametrize("path", ["/auth/login", "/options/baskets"])
def test_who_hangs_up_in_the_middle_of_a_body_is_no_fault_of_ours(
    served: Server,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    caplog.set_level(logging.INFO)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    token = f"Authorization: Bearer {served.user().token}\r\nIdempotency-Key: k\r\n"
    with socket.create_connection((served.http.base_url.host, served.http.base_url.port)) as client:
        client.sendall((head + token + "\r\n{").encode())
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
    served.until(served.now)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert f"POST {path} 400" in caplog.messages
