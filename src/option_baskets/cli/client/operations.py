"""Every operation of a server's OpenAPI document, as something that can be typed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from option_baskets.domain.errors import NotFound

Document = Mapping[str, Any]

_METHODS = ("get", "post", "put", "delete", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Of the path, the query or a header."""

    name: str
    place: str
    """``path``, ``query`` or ``header``."""
    required: bool
    note: str
    """What it is, what it may be, and its default."""

    @property
    def option(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def key(self) -> str:
        """As a name in Python."""
        return self.name.lower().replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    takes_body: bool
    example: object | None
    """Of the body."""
    needs_login: bool

    @property
    def is_list(self) -> bool:
        """Whether it answers in pages."""
        return any(each.name == "cursor" for each in self.parameters)

    def address(self, given: Mapping[str, str]) -> str:
        """The path with its parameters in it."""
        named = {each.name: quote(given[each.name], safe="~") for each in self.parameters if each.place == "path"}
        return self.path.format(**named)


def operations(document: Document) -> Iterator[Operation]:
    """All of them, in the order of the document."""
    for path, methods in document["paths"].items():
        for method in (each for each in _METHODS if each in methods):
            yield _operation(document, path, method, methods[method])


def operation(document: Document, name: str) -> Operation:
    """The one of this operationId; hyphens will do.

    Raises:
        NotFound: there is none.
    """
    known = {each.id: each for each in operations(document)}
    wanted = name.replace("-", "_")
    if wanted not in known:
        near = get_close_matches(wanted, known, n=3)
        hint = f"do you mean {' or '.join(near)}?" if near else "baskets api --list shows all"
        raise NotFound(f"there is no operation {name}; {hint}")
    return known[wanted]


def _operation(document: Document, path: str, method: str, found: Mapping[str, Any]) -> Operation:
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Operation(
        id=found["operationId"],
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        parameters=tuple(_parameter(document, each) for each in found.get("parameters", ())),
        takes_body="requestBody" in found,
        example=_example(document, body),
        needs_login=bool(found.get("security")),
    )


def _example(document: Document, body: Mapping[str, Any]) -> object | None:
    if "example" in body:
        return body["example"]  # type: ignore[no-any-return]
    examples = _resolved(document, body.get("schema", {})).get("examples", ())
    return next(iter(examples), None)


def _parameter(document: Document, found: Mapping[str, Any]) -> Parameter:
    schema = found.get("schema", {})
    note = str(found.get("description") or schema.get("description", ""))
    options = [_resolved(document, each) for each in schema.get("anyOf", (schema,))]
    words = [str(word) for each in options for word in each.get("enum", ())]
    example = next(iter(schema.get("examples", ())), None)
    parts = (
        note,
        f"One of {', '.join(words)}." if words else "",
        f"Default: {schema['default']}." if schema.get("default") not in (None, "") else "",
        f"E.g. {example}." if example is not None else "",
    )
    return Parameter(
        name=found["name"],
        place=found["in"],
        required=bool(found.get("required")),
        note=" ".join(filter(None, parts)),
    )


def _resolved(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, or what it refers to."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema
