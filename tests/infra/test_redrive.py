"""Dead letters get another try, and leave only when that was taken."""

import io
import json
import zipfile
from typing import Any

import pytest

from infra.environments import read
from infra.local_deployment import Emulator
from infra.redrive import redrive

STAGING = read()["staging"]
FUNCTION = """
import json

def handler(event, context):
    if event["detail"] == "broken":
        raise ValueError(json.dumps(event))
    return {}
"""


class Letters:
    """The queues and the function of staging that a redrive touches; dev is deployed by other tests."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.sqs: Any = emulator.client("sqs")
        self.url = {
            name: self.sqs.create_queue(QueueName=STAGING.named(name))["QueueUrl"]
            for name in ("entries", "entries-dead", "stops-dead")
        }
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            archive.writestr("stops.py", FUNCTION)
        emulator.client("lambda").create_function(
            FunctionName=STAGING.named("stops"),
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/any",
            Handler="stops.handler",
            Code={"ZipFile": zipped.getvalue()},
        )

    def put(self, name: str, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url[name], MessageBody=body)

    def count(self, name: str) -> int:
        """Messages in a queue, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url[name], AttributeNames=names)["Attributes"]
        return sum(int(found[each]) for each in names)

    def bodies(self, name: str) -> list[str]:
        found = self.sqs.receive_message(QueueUrl=self.url[name], MaxNumberOfMessages=10, VisibilityTimeout=0)
        return sorted(message["Body"] for message in found.get("Messages", []))


@pytest.fixture(scope="module")
def letters(emulator: Emulator) -> Letters:
    return Letters(emulator)


def test_messages_of_a_queue_go_back_into_it(letters: Letters) -> None:
    for body in ("first", "second"):
        letters.put("entries-dead", body)
    assert redrive(STAGING, "entries", endpoint=letters.emulator.endpoint) == (2, 0)
    assert letters.bodies("entries") == ["first", "second"]
    assert letters.count("entries-dead") == 0


def test_an_event_that_fails_again_stays_and_the_others_do_not(letters: Letters) -> None:
    for detail in ("well", "broken", "well"):
        letters.put("stops-dead", json.dumps({"detail": detail}))
    assert redrive(STAGING, "stops", endpoint=letters.emulator.endpoint) == (2, 1)
    assert letters.count("stops-dead") == 1


def test_looking_takes_nothing_out(letters: Letters, capsys: pytest.CaptureFixture[str]) -> None:
    letters.put("entries-dead", "looked at")
    assert redrive(STAGING, "entries", endpoint=letters.emulator.endpoint, dry=True) == (1, 0)
    assert capsys.readouterr().out == "looked at\n"
    assert letters.count("entries-dead") == 1


def test_changes_for_websockets_cannot_be_tried_again(letters: Letters) -> None:
    with pytest.raises(ValueError, match="'live' cannot be redriven; give one of entries, exits"):
        redrive(STAGING, "live", endpoint=letters.emulator.endpoint)
