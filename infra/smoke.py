"""Whether a deployed environment stands, asked from outside: ``python -m infra.smoke dev``.

It changes nothing that trades: it reads, asks the API with and without a token, and calls the function that says
whether a holiday has a session. Where scripts may log in it makes a user and deletes it again. Exits with 1 if
anything is not as it should be, and says what. ``--dry-run`` says what it would look at.
"""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from infra.entry_points import ENTRY_POINTS, SESSION
from infra.environments import Environment, read
from option_baskets.adapters.aws.definition import EXPIRY, TABLES

A_HOLIDAY = "2026-01-26"
"""Republic Day: there is no session, whatever the calendar is told later."""
WELL = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at: what it is, and what is wrong with it (empty: nothing)."""

    what: str
    wrong: Callable[[], str]


class Deployed:
    """An environment through the eyes of AWS."""

    def __init__(self, environment: Environment, endpoint: str = "") -> None:
        self.environment = environment
        self.endpoint = endpoint

    @property
    def is_emulated(self) -> bool:
        return bool(self.endpoint)

    def client(self, service: str) -> Any:
        return get_session().create_client(
            service, region_name=self.environment.region, endpoint_url=self.endpoint or None
        )

    @cached_property
    def outputs(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for stack in (self.environment.auth_stack, self.environment.trading_stack):
            described = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
            found |= {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        return found

    def get(self, path: str, token: str = "") -> httpx.Response:
        """Ask the API; the emulator serves it below its own address."""
        url, headers = self.outputs["ApiUrl"], {"Authorization": f"Bearer {token}"} if token else {}
        if self.is_emulated:
            url = f"{self.endpoint}/_aws/execute-api/{self.outputs['ApiOutput']}/$default"
        return httpx.get(url + path, headers=headers, timeout=30)


def looks(deployed: Deployed) -> Iterator[Look]:
    """Everything that is looked at, in the order in which one thing stands on another."""
    environment = deployed.environment
    for stack in (environment.auth_stack, environment.trading_stack):
        yield Look(f"stack {stack}", partial(_stack, deployed, stack))
    for table in TABLES:
        name = environment.table_prefix + table.name
        yield Look(f"table {name}", partial(_table, deployed, name))
    for point in ENTRY_POINTS:
        name = environment.named(point.name)
        yield Look(f"function {name}", partial(_function, deployed, name))
    yield Look(f"{A_HOLIDAY} has no session", partial(_holiday, deployed))
    yield Look("dead-letter queues are empty", partial(_dead_letters, deployed))
    yield Look("no alarm is raised", partial(_alarms, deployed))
    yield Look("GET /health", partial(_answers, deployed, "/health", 200))
    yield Look("GET /options/baskets without a token", partial(_answers, deployed, "/options/baskets", 401))
    if environment.people.password_login:
        yield Look("GET /options/baskets as a new user", partial(_as_a_user, deployed))


def _stack(deployed: Deployed, stack: str) -> str:
    status = deployed.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    return "" if status in WELL else f"is {status}"


def _table(deployed: Deployed, name: str) -> str:
    client = deployed.client("dynamodb")
    status = client.describe_table(TableName=name)["Table"]["TableStatus"]
    if status != "ACTIVE":
        return f"is {status}"
    if deployed.is_emulated:  # it keeps neither
        return ""
    expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if expiry.get("AttributeName") != EXPIRY:
        return "does not expire its items"
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    return "" if recovery == "ENABLED" else f"cannot be taken back in time: {recovery}"


def _function(deployed: Deployed, name: str) -> str:
    found = deployed.client("lambda").get_function_configuration(FunctionName=name)
    states = found["State"], found.get("LastUpdateStatus", "Successful")
    return "" if states == ("Active", "Successful") else f"is {' and '.join(states)}"


def _holiday(deployed: Deployed) -> str:
    answer = deployed.client("lambda").invoke(
        FunctionName=deployed.environment.named(SESSION.name), Payload=json.dumps({"date": A_HOLIDAY}).encode()
    )
    said = json.loads(answer["Payload"].read())
    return "" if said.get("done") is True and "FunctionError" not in answer else f"the session function says {said}"


def _dead_letters(deployed: Deployed) -> str:
    client = deployed.client("sqs")
    full = []
    for url in client.list_queues(QueueNamePrefix=deployed.environment.named("")).get("QueueUrls", []):
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        if url.endswith("-dead") and int(attributes["Attributes"]["ApproximateNumberOfMessages"]):
            full.append(url.rpartition("/")[2])
    return f"messages are in {', '.join(full)}; docs/operations.md, Redrive" if full else ""


def _alarms(deployed: Deployed) -> str:
    if deployed.is_emulated:  # it takes any function's error for every function's
        return ""
    found = deployed.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=deployed.environment.named(""), StateValue="ALARM"
    )
    return ", ".join(alarm["AlarmName"] for alarm in found["MetricAlarms"])


def _answers(deployed: Deployed, path: str, expected: int, token: str = "") -> str:
    answer = deployed.get(path, token)
    return "" if answer.status_code == expected else f"{answer.status_code}, not {expected}: {answer.text[:200]}"


def _as_a_user(deployed: Deployed) -> str:
    client = deployed.client("cognito-idp")
    pool, email = deployed.outputs["UserPoolOutput"], f"smoke-{secrets.token_hex(6)}@example.com"
    password = f"Aa1!{secrets.token_urlsafe(18)}"
    client.admin_create_user(UserPoolId=pool, Username=email, TemporaryPassword=password, MessageAction="SUPPRESS")
    try:
        client.admin_set_user_password(UserPoolId=pool, Username=email, Password=password, Permanent=True)
        answer = client.initiate_auth(
            ClientId=deployed.outputs["UserPoolClientOutput"],
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        return _answers(deployed, "/options/baskets", 200, answer["AuthenticationResult"]["AccessToken"])
    finally:
        client.admin_delete_user(UserPoolId=pool, Username=email)


def _result(look: Look) -> str:
    try:
        return look.wrong()
    except (BotoCoreError, ClientError, httpx.HTTPError, KeyError) as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.smoke", description=__doc__)
    parser.add_argument("environment", choices=list(read()))
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    deployed = Deployed(read()[options.environment], os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/"))
    failed = 0
    for look in looks(deployed):
        wrong = "" if options.dry_run else _result(look)
        failed += bool(wrong)
        state = "would look at" if options.dry_run else "NOT WELL" if wrong else "well"
        print(f"{state:13} {look.what}{': ' + wrong if wrong else ''}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
