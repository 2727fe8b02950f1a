"""Which secrets a broker needs, by the package's own dated rows; what is told of wrong ones, and what never is."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.adapters.facts import load
from option_baskets.domain.credentials import LONGEST, needed_by, require_credentials
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Credential, Need

TODAY = date(2026, 11, 24)
FACTS = load()
KITE = {"api_key": "abc", "api_secret": "s3cret-value"}
VALUE = "s3cret-value-9f27"


def told(broker: str, found: object) -> list[str]:
    with pytest.raises(Invalid) as raised:
        require_credentials(FACTS, broker, found, TODAY)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("broker", "fields"),
    [
        ("paper", {}),
        ("zerodha", {"api_key": True, "api_secret": True, "access_token": False}),
        ("angelone", {"api_key": True, "client_code": True, "pin": True, "totp_secret": True}),
        ("shoonya", {"user_id": True, "client_id": True, "client_secret": True, "access_token": False}),
    ],
)
def test_every_broker_says_what_it_needs(broker: str, fields: dict[str, bool]) -> None:
    assert {each.field: each.is_required for each in needed_by(FACTS, broker, TODAY)} == fields


def test_what_a_broker_needs_changes_on_its_day() -> None:
    def later(field: str, needed: Need) -> Credential:
        return Credential(broker="zerodha", field=field, needed=needed, effective_from=date(2027, 1, 1))

    rows = (*FACTS.credentials, later("api_secret", Need.NO), later("passkey", Need.REQUIRED))
    facts = replace(FACTS, credentials=rows)
    assert [each.field for each in needed_by(facts, "zerodha", date(2026, 12, 31))] == [
        "api_key",
        "api_secret",
        "access_token",
    ]
    assert [each.field for each in needed_by(facts, "zerodha", date(2027, 1, 1))] == [
        "api_key",
        "access_token",
        "passkey",
    ]


def test_what_is_whole_is_taken_as_it_is_and_null_is_no_value() -> None:
    assert require_credentials(FACTS, "zerodha", {**KITE, "access_token": None}, TODAY) == KITE


def test_everything_wrong_is_told_at_once_with_the_way_out() -> None:
    listed = "api_key, api_secret, access_token (optional)"
    assert told("zerodha", {"api_secret": 17, "access_token": " x ", "totp_secret": VALUE, "nonsense": VALUE}) == [
        f"secret.api_key: is missing; zerodha needs {listed}",
        "secret.api_secret: is not text; put it in quotes",
        "secret.access_token: begins or ends with blanks; remove them",
        f"secret.totp_secret: is not asked for by zerodha; remove it: its fields are {listed}",
        f"secret: has a field that no broker asks for; zerodha asks for {listed}",
    ]
    assert told("paper", KITE) == ["secret: paper accounts have no secrets; leave it out"]
    assert told("zerodha", "api_key") == [f"secret: give an object with {listed}"]


@pytest.mark.parametrize("value", ["", "   ", "two\nlines", "\ud800", "x" * (LONGEST + 1), ["list"], True])
def test_a_value_nobody_could_have_copied_is_refused(value: object) -> None:
    (problem,) = told("zerodha", {**KITE, "api_secret": value})
    assert problem.startswith("secret.api_secret: ")


@given(
    st.dictionaries(st.sampled_from(["api_key", "api_secret", "pin", VALUE, f"{VALUE}\n"]), st.just(f" {VALUE}\n")),
    st.sampled_from(["zerodha", "angelone", "shoonya", "paper"]),
)
def test_neither_a_value_nor_a_name_nobody_knows_is_ever_told(found: dict[str, str], broker: str) -> None:
    assert not any(VALUE in each for each in told(broker, found))
