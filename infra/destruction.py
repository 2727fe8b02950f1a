"""Deletes both stacks of an environment, the one that stands on the other first: ``python -m infra.destruction dev``.

CloudFormation does it; no templates are needed. A stack that is protected against it stays, and says so.
"""

import argparse
import os
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from botocore.session import get_session

from infra.environments import Environment, read


def destroy(client: Any, environment: Environment, *, every: int = 5) -> None:
    """Return when both stacks are gone.

    Args:
        client: of CloudFormation.
        every: seconds between two looks.

    Raises:
        ClientError: a stack is protected.
        WaiterError: something in it could not be deleted; its events say what.
    """
    for stack in (environment.trading_stack, environment.auth_stack):
        client.delete_stack(StackName=stack)
        client.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": every})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.destruction", description=__doc__)
    parser.add_argument("environment", choices=list(read()))
    environment = read()[parser.parse_args().environment]
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
    client: Any = get_session().create_client("cloudformation", region_name=environment.region, endpoint_url=endpoint)
    try:
        destroy(client, environment)
    except (BotoCoreError, ClientError, WaiterError) as error:
        sys.exit(f"{error}. docs/operations.md, Destroy")
    print(f"{environment.trading_stack} and {environment.auth_stack} are gone")


if __name__ == "__main__":
    main()
