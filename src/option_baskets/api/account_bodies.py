"""Bodies about broker accounts: the ``[[accounts]]`` table of a basket file as JSON, and secrets beside it.

Secrets are taken out of a body before anything looks at it that might show a value.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from option_baskets.adapters.basket_file.account import BrokerName, ChargesAs, read_account
from option_baskets.adapters.basket_file.fields import IDENTIFIER, Fields, Report
from option_baskets.adapters.facts import load
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.credentials import LONGEST, VALUE
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
    table.pop("version", None)
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
    """The JSON Schemas of the bodies, by name of the component."""
    limit = {"type": ["number", "null"], "exclusiveMinimum": 0, "examples": [20000], "description": "Rupees."}
    own = {"enum": list(ChargesAs), "description": "Whose charges apply; of a paper account only."}
    new_id = {"type": "string", "pattern": f"^{IDENTIFIER.pattern}$", "maxLength": LONGEST_ID}
    text = {"type": "string", "pattern": f"^{VALUE}$", "maxLength": LONGEST}
    brokers: dict[str, list[str]] = {}
    for row in load().credentials:
        brokers.setdefault(row.field, []).append(row.broker)
    secret = {
        "type": "object",
        "description": "What the broker asks for, each as text; GET of the account lists it. It is never answered.",
        "properties": {
            field: {**text, "writeOnly": True, "description": f"Asked for by {', '.join(asking)}."}
            for field, asking in brokers.items()
        },
        "additionalProperties": False,
        "examples": [{"api_key": "…", "api_secret": "…"}],
    }
    new = {
        "type": "object",
        "description": "One of [[accounts]] of a basket file, and its secrets.",
        "properties": {
            "id": new_id,
            "broker": {"enum": list(BrokerName), "default": BrokerName.PAPER},
            "charges_as": own,
            "max_daily_loss": limit,
            "secret": {"anyOf": [{"$ref": f"{_SCHEMAS}AccountSecretBody"}, {"type": "null"}]},
        },
        "required": ["id"],
        "additionalProperties": False,
        "examples": [{"id": "paper-1"}],
    }
    edit = {
        "type": "object",
        "description": "The account as it is to be; what is left out goes back to its default. Its id and broker stay.",
        "properties": {
            "id": new_id,
            "broker": {"enum": list(BrokerName)},
            "charges_as": own,
            "max_daily_loss": limit,
            "secret": {"type": "null"},
            "version": {"type": "integer"},
        },
        "additionalProperties": False,
        "examples": [{"max_daily_loss": 20000}],
    }
    return {"NewAccount": new, "AccountEdit": edit, "AccountSecretBody": secret}


def body_of(name: str) -> dict[str, Any]:
    """``openapi_extra=`` of a route whose body is one of the schemas."""
    content = {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{name}"}}}
    return {"requestBody": {"required": True, "content": content}}
