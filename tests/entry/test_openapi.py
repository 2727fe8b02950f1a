"""The OpenAPI document: what is published is what the server answers, and it says everything, truly."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from tools.publish_openapi import PUBLISHED, shown

from option_baskets.api.app import make_app
from option_baskets.api.http.problems import KINDS, MEDIA_TYPE, TYPES
from tests.entry.served import Server, serve

Json = dict[str, Any]

EMPTY = {"204", "304"}
"""Statuses whose answers have no body."""
OF_THE_PATH = {"method-not-allowed"}
"""Kinds that are of no operation: the description of the whole has them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("openapi") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def document(server: Server) -> Json:
    answer = server.http.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    found: Json = answer.json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolved(document: Json, found: Json) -> Json:
    """What a reference refers to."""
    while "$ref" in found:
        place: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        found = place
    return found


def responses(document: Json, operation: Json) -> Iterator[tuple[str, Json]]:
    for status, response in operation["responses"].items():
        yield status, resolved(document, response)


def bodies(document: Json) -> Iterator[tuple[str, Json]]:
    """Everything that is sent or answered, with what it is of."""
    for name, operation in operations(document):
        if "requestBody" in operation:
            for media, content in operation["requestBody"]["content"].items():
                yield f"{name}: body, {media}", content
        for status, response in responses(document, operation):
            for media, content in response.get("content", {}).items():
                yield f"{name}: {status}, {media}", content


def test_the_published_document_is_what_the_servers_routes_are_and_what_it_answers(
    server: Server, document: Json
) -> None:
    made = msgspec.json.decode(msgspec.json.encode(make_app(server.platform).openapi()))
    published = PUBLISHED.read_text(encoding="utf-8")
    assert published == shown(made), "openapi.json is old; write it with: python -m tools.publish_openapi"
    assert published == shown(document)


def test_it_is_answered_to_anybody_and_shown_on_a_page(server: Server) -> None:
    assert server.http.get("/openapi.json").content == server.user().http.get("/openapi.json").content
    assert "/openapi.json" in server.http.get("/docs").text


def test_every_operation_has_a_name_a_summary_and_says_what_it_does(document: Json) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names)) > 60
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name


def test_every_body_and_answer_has_an_example_that_is_valid_by_its_schema(document: Json) -> None:
    shown = 0
    for name, content in bodies(document):
        examples = [content["example"]] if "example" in content else []
        examples += [each["value"] for each in content.get("examples", {}).values()]
        assert examples, f"{name}: no example"
        valid = Draft202012Validator(content["schema"] | {"components": document["components"]})
        for example in examples:
            wrong = [f"{list(error.path)}: {error.message}" for error in valid.iter_errors(example)]
            assert not wrong, f"{name}: {wrong}"
            shown += 1
    assert shown > 500


def test_every_answer_has_a_body_and_its_type_but_those_that_are_empty(document: Json) -> None:
    for name, operation in operations(document):
        for status, response in responses(document, operation):
            assert response["description"], f"{name}: {status}"
            assert (status in EMPTY) == ("content" not in response), f"{name}: {status}"


def test_every_reference_leads_somewhere_and_nothing_stands_about(document: Json) -> None:
    text = json.dumps(document)
    referred = set(re.findall(r'"#/components/([a-z]+/[^"/]+)"', text))
    for name in referred:
        kind, _, component = name.partition("/")
        assert component in document["components"][kind], name
    for component in document["components"]["responses"]:
        assert f"responses/{component}" in referred


def test_every_kind_of_problem_is_documented_with_its_status(document: Json) -> None:
    kinds: dict[str, set[str]] = {}
    for _, operation in operations(document):
        for status, response in responses(document, operation):
            for kind, example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).items():
                assert example["value"]["type"] == TYPES + kind
                kinds.setdefault(kind, set()).add(status)
    assert kinds == {kind: {str(known.status)} for kind, known in KINDS.items() if kind not in OF_THE_PATH}
    for kind, known in KINDS.items():
        assert f"| `{kind}` | {known.status} |" in document["info"]["description"]
    assert set(document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]) == {
        TYPES + kind for kind in KINDS
    }


def test_what_every_operation_may_be_answered_is_said_of_each(document: Json) -> None:
    for name, operation in operations(document):
        said = set(operation["responses"])
        assert "500" in said, name
        if operation.get("security"):
            assert {"401", "429", "503"} <= said, name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= said, name
        if "{" in name:
            assert "404" in said, name
        given = {each["name"]: each for each in operation["parameters"]}
        if "If-Match" in given:
            assert given["If-Match"]["required"], name
            assert {"412", "428"} <= said, name
        if "If-None-Match" in given:
            assert "304" in said, name
        assert all({"type": "null"} not in each["schema"].get("anyOf", ()) for each in given.values()), name


def test_every_path_answers_a_method_it_does_not_have_with_those_it_has(server: Server, document: Json) -> None:
    http = server.user().http
    for path, methods in document["paths"].items():
        answer = http.request("PATCH", path.replace("{", "").replace("}", ""))
        assert answer.status_code == 405, path
        assert answer.headers["Allow"].split(", ") == sorted(method.upper() for method in methods)
        assert answer.json()["type"] == f"{TYPES}method-not-allowed"
