"""Bodies about broker accounts: the ``[[accounts]]`` table of a basket file as JSON, and secrets beside it.

Secrets are taken out of a body before anything looks at it that might show a value.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from option_baskets.adapters.basket_file.account import BrokerName, ChargesAs, read_account
from option_baskets.adapters.basket_file.fields import IDENTIFIER, Fields, Report
from option_baskets.adapters.facts import load
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.credentials import LONGEST, VALUE, needed_by
from option_baskets.domain.errors import Invalid, Problem

LONGEST_ID = 40
_NONE_IS_NOTHING = ("max_daily_loss", "secret")
"""Keys answered as null where there is nothing."""
_SCHEMAS = "#/components/schemas/"


def is_account_id(text: str) -> bool:
    """Whether an account could have this id."""
    return len(text) <= LONGEST_ID and IDENTIFIER.fullmatch(text) is not None


def read_new_account(body: object) -> tuple[BrokerAccount, object | None]:
    """The account of a body, and its secrets as they came.

    Raises:
        Invalid: every problem of the account.
    """
    table = _table(body)
    secret = table.pop("secret", None)
    return _account(table, ()), secret


def read_account_again(body: object, before: BrokerAccount) -> BrokerAccount:
    """What a stored account becomes; its broker stays, and secrets are given apart.

    Raises:
        Invalid: every problem.
    """
    table = _table(body)
    problems = []
    if table.pop("secret", None) is not None:
        way_out = f"PUT /broker-accounts/{before.id}/secret"
        problems.append(Problem(where="secret", message=f"is not changed here; give it to {way_out}"))
    version = table.pop("version", before.version)
    if not isinstance(version, int) or isinstance(version, bool):
        problems.append(Problem(where="version", message="is a whole number, as answered; or leave it out"))
    for key, stays in (("id", before.id), ("broker", before.broker)):
        if table.setdefault(key, stays) != stays:
            message = f"stays {stays}; leave it out, or add another account"
            problems.append(Problem(where=key, message=message))
            table[key] = stays
    return _account(table, problems)


def _table(body: object) -> dict[str, object]:
    if not isinstance(body, Mapping):
        raise Invalid("send an object, the account as one of [[accounts]] in a basket file")
    return {key: value for key, value in body.items() if value is not None or key not in _NONE_IS_NOTHING}


def _account(table: dict[str, object], problems: list[Problem] | tuple[()]) -> BrokerAccount:
    report = Report()
    report.problems += problems
    account = read_account(Fields(table, "", report))
    report.raise_if_any()
    return account


@cache
def schemas() -> dict[str, Any]:
    """The JSON Schemas of the bodies, by name of the component; of secrets, as the package's own facts have them."""
    live = [broker for broker in BrokerName if broker is not BrokerName.PAPER]
    secrets = {_secret_name(broker): _secret_of(broker) for broker in live}
    references = {broker: {"$ref": f"{_SCHEMAS}{_secret_name(broker)}"} for broker in live}
    paper = _object(["id"], id=_ID, broker={"const": "paper"}, charges_as=_ANY, max_daily_loss=_LOSS, secret=_NULL)
    at_broker = [
        _object(
            ["id", "broker"],
            id=_ID,
            broker={"const": broker.value},
            charges_as={"const": broker.value},
            max_daily_loss=_LOSS,
            secret={"anyOf": [references[broker], _NULL]},
        )
        for broker in live
    ]
    edit = {"id": _ID, "broker": {"enum": list(BrokerName)}, "version": {"type": "integer"}, "secret": _NULL}
    return secrets | {
        "NewAccount": {
            "description": "One of [[accounts]] of a basket file, and its secrets.",
            "oneOf": [paper, *at_broker],
            "examples": [{"id": "paper-1", "broker": "paper", "charges_as": "zerodha"}],
        },
        "AccountEdit": _object([], **edit, charges_as=_ANY, max_daily_loss=_LOSS)
        | {
            "description": "The account as it is to be. What is left out goes back to its default; id and broker stay.",
            "examples": [{"max_daily_loss": 20000}],
        },
        "AccountSecret": {
            "description": "What the account's broker asks for; GET of the account lists it. It is never answered.",
            "anyOf": list(references.values()),
            "examples": [{"api_key": "k5tq0f3m2x", "api_secret": "w8rj1c6v0b9n"}],
        },
    }


_ID = {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$", "maxLength": LONGEST_ID}
_ANY = {"enum": list(ChargesAs), "description": "Whose charges apply; a paper account chooses."}
_LOSS = {
    "type": ["number", "null"],
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 10**12,
    "description": "Rupees, at most two decimals.",
}
_NULL = {"type": "null"}


def _secret_name(broker: BrokerName) -> str:
    return f"{broker.value.capitalize()}Secret"


def _secret_of(broker: BrokerName) -> dict[str, Any]:
    needed = needed_by(load(), broker.value, date.max)
    text = {"pattern": f"^{VALUE}$", "maxLength": LONGEST, "writeOnly": True}
    fields = {
        each.field: text
        | {"type": "string" if each.is_required else ["string", "null"]}
        | ({"description": each.note} if each.note else {})
        for each in needed
    }
    return _object([each.field for each in needed if each.is_required], **fields)


def _object(required: list[str], **properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def body_of(name: str) -> dict[str, Any]:
    """``openapi_extra=`` of a route whose body is one of the schemas."""
    (example,) = schemas()[name]["examples"]
    content = {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{name}"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}
