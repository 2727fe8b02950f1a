"""What schemathesis is taught: fitting secrets, what a refusal must have, and to count what it was answered."""

import atexit
import json
import os
import secrets
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pyotp
import schemathesis

from tests.entry.served import PASSWORD
from tests.fuzz.campaign import COUNTS, OTHER, TOKEN

Case: TypeAlias = schemathesis.Case[Any]

_counts: defaultdict[str, Counter[int]] = defaultdict(Counter)


@atexit.register
def _tell() -> None:
    Path(os.environ[COUNTS]).write_text(json.dumps(_counts), encoding="utf-8")


@schemathesis.auth()
class Token:
    """Asha's, with every request but those that are to be refused without one."""

    def get(self, _: Case, __: schemathesis.AuthContext) -> str:
        return f"Bearer {os.environ[TOKEN]}"

    def set(self, case: Case, data: str, _: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = data


@schemathesis.hook
def after_call(_: schemathesis.HookContext, case: Case, response: schemathesis.Response) -> None:
    is_published = case.method == case.operation.method.upper()
    _counts[_operation_id(case) if is_published else OTHER][response.status_code] += 1


@schemathesis.check
def refusals_say_what_to_mend(_: schemathesis.CheckContext, response: schemathesis.Response, case: Case) -> None:
    """422 names a field, or has the code of the rule that refused."""
    if response.status_code == 422:
        problem = response.json()
        assert problem["errors"] or problem["reason"], f"{case.operation.label}: a refusal without a cause: {problem}"


# ---------------------------------------------------------------- logins that end, and secrets that have to fit


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Operations on a login are asked with one made for the request, since they end it. A schema-valid body gets the
    password, token or code that fits: no generator guesses one."""
    operation = _operation_id(case)
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if operation == "delete_leg" and is_valid and case.path_parameters.get("leg_id") == "wing":
        case.path_parameters["strategy_id"] = "income.condor"  # a leg is found in its strategy only
        case.headers["If-Match"] = "*"
    if operation not in _ON_LOGINS or case.headers.get("Authorization") != f"Bearer {os.environ[TOKEN]}":
        return
    login = Login(str(case.operation.base_url))
    case.headers["Authorization"] = f"Bearer {login.access}"
    if is_valid and isinstance(case.body, dict):
        case.body = {**case.body, **login.fitting(operation)}


class Login:
    """Of a new user."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url)
        given = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
        self._http.post("/auth/register", json=given).raise_for_status()
        tokens = self._http.post("/auth/login", json=given).raise_for_status().json()
        self.access, self._refresh = tokens["access_token"], tokens["refresh_token"]
        self._http.headers["Authorization"] = f"Bearer {self.access}"

    def fitting(self, operation: str) -> dict[str, str]:
        match operation:
            case "refresh":
                return {"refresh_token": self._refresh}
            case "confirm_totp":
                return {"code": self._enrolled().now()}
            case "remove_totp":
                code = self._enrolled()
                answer = self._http.put("/auth/totp", json={"code": code.now()}).raise_for_status().json()
                return {"password": PASSWORD, "code": answer["recovery_codes"][0]}
            case "change_password" | "enrol_totp":
                return {"password": PASSWORD}
        return {}

    def _enrolled(self) -> pyotp.TOTP:
        answer = self._http.post("/auth/totp", json={"password": PASSWORD}).raise_for_status()
        return pyotp.TOTP(answer.json()["secret"])


_ON_LOGINS = {"logout", "refresh", "change_password", "enrol_totp", "confirm_totp", "remove_totp"}


def _operation_id(case: Case) -> str:
    return str(case.operation.definition.raw["operationId"])
