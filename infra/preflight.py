"""Before a deployment: is this the account, and is it ready: ``python -m infra.preflight dev account2``.

Prints the names a deployment needs, as lines for a shell. Raises SystemExit with what to do about what is missing.
"""

import argparse
import os
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session, get_session

from infra.environments import Account, Environment, read, read_accounts

BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
LEAST_BOOTSTRAP = 6
"""The version of bootstrap that the templates ask for."""


def chosen(project: str, environment: str, account: str) -> tuple[Environment, Account]:
    """What the command line names.

    Raises:
        SystemExit: one of them is not in environments.json.
    """
    environments, accounts = read(), read_accounts()
    for what, name, known in (
        ("environment", environment, list(environments)),
        ("account", account, list(accounts)),
        ("project", project, [each.project for each in environments.values()][:1]),
    ):
        if name not in known:
            sys.exit(f"there is no {what} {name!r} in infra/environments.json; give {' or '.join(known)}")
    return environments[environment], accounts[account]


def look(account: Account, environment: Environment) -> str:
    """The number of the account that would be deployed to.

    Raises:
        SystemExit: nobody is signed in, it is another account, or it is not bootstrapped.
    """
    session = get_session()
    number = _number(session, environment, account)
    if account.number is not None and number != account.number:
        sys.exit(f"profile {account.profile} is of account {number}, not {account.number}; give another with -a")
    version = _bootstrap(session, environment)
    if version < LEAST_BOOTSTRAP:
        sys.exit(
            f"account {number} is not bootstrapped in {environment.region} (version {version}, "
            f"{LEAST_BOOTSTRAP} is needed); run: npx aws-cdk bootstrap aws://{number}/{environment.region}"
        )
    return number


def _number(session: Session, environment: Environment, account: Account) -> str:
    try:
        client: Any = session.create_client("sts", region_name=environment.region)
        return str(client.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"profile {account.profile} cannot sign in: {error}; try: aws sso login --profile {account.profile}")


def _bootstrap(session: Session, environment: Environment) -> int:
    try:
        client: Any = session.create_client("ssm", region_name=environment.region)
        return int(client.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return 0
        raise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description=__doc__)
    for name in ("project", "environment", "account"):
        parser.add_argument(name)
    parser.add_argument("--names", action="store_true", help="print the names only; ask nobody")
    options = parser.parse_args()
    environment, account = chosen(options.project, options.environment, options.account)
    if options.names:
        print(f"PROFILE={account.profile}")
        print(f"REGION={environment.region}")
        print(f"AUTH_STACK={environment.auth_stack}")
        print(f"TRADING_STACK={environment.trading_stack}")
        return
    if "AWS_ENDPOINT_URL" not in os.environ:
        os.environ.setdefault("AWS_PROFILE", account.profile)
    print(f"account {look(account, environment)}, {environment.region}, ready")


if __name__ == "__main__":
    main()
