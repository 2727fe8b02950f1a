"""Gives dead letters another try: ``python -m infra.redrive dev entries [--dry-run]``.

Messages of a queue of work go back into their queue. Events go to the function they were for, as the event they were.
A message is taken out of the dead letters only when that was taken; what fails again stays. All of it may be done
twice without harm, so a redrive that is broken off is begun again.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.session import get_session

from infra.entry_points import ENTRY_POINTS, WATCHDOG, QueueName
from infra.environments import Environment, read

AT_ONCE = 10
LONG, SHORTLY = 600, 60
"""Seconds that a message is hidden which was tried, or only looked at."""
OF_EVENTS = {point.name: point.name for point in ENTRY_POINTS if point.serves is not None} | {
    "schedules": WATCHDOG.name
}
"""Functions that events are for, by the name of their dead letters."""
REDRIVABLE = (*QueueName, *OF_EVENTS)


def redrive(environment: Environment, name: str, *, endpoint: str = "", dry: bool = False) -> tuple[int, int]:
    """(Given another try, failed again.)

    Raises:
        ValueError: there are no such dead letters, or they are of a kind that cannot be tried again.
    """
    if name not in REDRIVABLE:
        raise ValueError(f"{name!r} cannot be redriven; give one of {', '.join(REDRIVABLE)}")

    def client(service: str) -> Any:
        return get_session().create_client(service, region_name=environment.region, endpoint_url=endpoint or None)

    sqs, function = client("sqs"), client("lambda")
    dead = sqs.get_queue_url(QueueName=environment.named(f"{name}-dead"))["QueueUrl"]
    given = failed = 0
    for message in _messages(sqs, dead, hidden=SHORTLY if dry else LONG):
        if dry:
            print(message["Body"])
        elif _given(sqs, function, environment, name, message["Body"]):
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        else:
            failed += 1
            continue
        given += 1
    return given, failed


def _given(sqs: Any, function: Any, environment: Environment, name: str, body: str) -> bool:
    if name in OF_EVENTS:
        answer = function.invoke(FunctionName=environment.named(OF_EVENTS[name]), Payload=body.encode())
        return "FunctionError" not in answer
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=environment.named(name))["QueueUrl"], MessageBody=body)
    return True


def _messages(sqs: Any, url: str, *, hidden: int) -> Iterator[Mapping[str, Any]]:
    """Each message once: what was read is hidden for longer than this takes."""
    request = {"QueueUrl": url, "MaxNumberOfMessages": AT_ONCE, "VisibilityTimeout": hidden}
    while found := sqs.receive_message(**request).get("Messages"):
        yield from found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.redrive", description=__doc__)
    parser.add_argument("environment", choices=list(read()))
    parser.add_argument("name", choices=REDRIVABLE)
    parser.add_argument("--dry-run", action="store_true", help="print the messages and leave them")
    options = parser.parse_args()
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    given, failed = redrive(read()[options.environment], options.name, endpoint=endpoint, dry=options.dry_run)
    print(f"{given} {'would be tried' if options.dry_run else 'tried'} again, {failed} failed again")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
