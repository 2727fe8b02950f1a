"""What the handlers of the API and the live stream need of AWS, in the emulator, and the handlers in this process.

Not the deployment (``deployed.py``): no template is needed, and a handler is a function that a test calls.
"""

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection

from option_baskets.adapters.aws.item_clock import put_time
from option_baskets.adapters.aws.service import Service
from option_baskets.adapters.aws.table import DynamoTable
from option_baskets.adapters.clock import RealClock
from option_baskets.cloud import Cloud
from option_baskets.lambdas import api, live, running, socket
from option_baskets.ports import Message, TableName, Write
from option_baskets.store.shards import fix_shards
from tests.contract.engines import PATIENCE, REGION, Engine, opened

T = TypeVar("T")
Json = dict[str, Any]

WALL = RealClock()
SHARDS = 2
PASSWORD = "Correct horse battery staple 4!"
_ECHO = b"""
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"]["connectionId"])}
"""
"""Tells whoever sends something what its connection is called."""


class Services:
    """Clients for tests, of this loop."""

    def __init__(self) -> None:
        self._open: dict[str, Service] = {}

    async def call(self, service: str, operation: str, **request: object) -> Json:
        if service not in self._open:
            self._open[service] = await Service.open(service, patience=PATIENCE)
        return await self._open[service].call(operation, **request)

    async def close(self) -> None:
        for each in self._open.values():
            await each.close()


@dataclass(kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Installation:
    """One installation. ``do`` runs work on the loop the handlers use."""

    engine: Engine
    folder: Path
    table: DynamoTable
    services: Services
    pool: str
    client: str
    exits: str
    socket_api: str

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return running.loop().run_until_complete(work)

    def cloud(self) -> Cloud:
        return self.do(running.opened())

    def call(self, service: str, operation: str, **request: object) -> Json:
        return self.do(self.services.call(service, operation, **request))

    def restart(self) -> None:
        """From here on other processes answer."""
        self.do(running.forget())
        api.forget()

    def lead(self, at: datetime) -> None:
        self.do(self.table.commit([put_time(at)]))

    # ------------------------------------------------------------ people

    def login(self, email: str) -> str:
        """An access token of a user, who is made where there is none."""
        user = {"UserPoolId": self.pool, "Username": email}
        found = self.call("cognito-idp", "list_users", UserPoolId=self.pool, Filter=f'email = "{email}"')
        if not found["Users"]:
            attributes = [{"Name": "email", "Value": email}]
            self.call("cognito-idp", "admin_create_user", **user, MessageAction="SUPPRESS", UserAttributes=attributes)
            self.call("cognito-idp", "admin_set_user_password", **user, Password=PASSWORD, Permanent=True)
        answer = self.call(
            "cognito-idp",
            "initiate_auth",
            ClientId=self.client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
        )
        token: str = answer["AuthenticationResult"]["AccessToken"]
        return token

    # ------------------------------------------------------------ the API

    def ask(self, method: str, path: str, token: str = "", body: object = None, **headers: str) -> Answer:
        """A request as API Gateway brings it."""
        path, _, query = path.partition("?")
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        if token:
            named["authorization"] = f"Bearer {token}"
        if body is not None:
            named["content-type"] = "application/json"
        event = {
            "version": "2.0",
            "routeKey": "ANY /{proxy+}",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "api.example.org", **named},
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": "203.0.113.7", "protocol": "HTTP/1.1"},
                "stage": "$default",
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        said = api.handler(event, None)
        text = said["body"]
        if said.get("isBase64Encoded"):
            text = base64.b64decode(text).decode()
        return Answer(status=said["statusCode"], headers=said["headers"], body=text)

    def wake_ups(self) -> list[Message]:
        """What somebody was sent for since the last look."""
        from option_baskets.adapters.aws.wake import message_of

        found = []
        while messages := self.call(
            "sqs", "receive_message", QueueUrl=self.exits, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for each in messages:
                found.append(message_of(each["Body"]))
                self.call("sqs", "delete_message", QueueUrl=self.exits, ReceiptHandle=each["ReceiptHandle"])
        return found

    # ------------------------------------------------------------ the live stream

    @property
    def socket_address(self) -> str:
        return f"{self.engine.endpoint.replace('http', 'ws')}/_aws/execute-api/{self.socket_api}/live"

    async def named(self, connection: ClientConnection) -> str:
        """What the connection is called."""
        await connection.send("{}")
        name: str = json.loads(await connection.recv())
        return name

    def route(self, route: str, connection: str, body: str | None = None) -> None:
        """A message of the WebSocket as API Gateway brings it."""
        context = {"routeKey": route, "connectionId": connection}
        assert socket.handler({"requestContext": context, "body": body}, None) == {"statusCode": 200}

    def changes(self, *writes: Write) -> list[Json]:
        """Commit them; the records of the tables' streams, as they come to a function, in order."""
        before = self._iterators()
        self.do(self.table.commit(writes))
        return [record for iterator in before for record in self._records(iterator)]

    def tell(self, records: Sequence[Json]) -> list[str]:
        """Bring records to the function; where it wants them brought again from."""
        answer: Any = live.handler({"Records": records}, None)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def _iterators(self) -> list[tuple[str, str]]:
        found = []
        for name in (TableName.CONFIGURATIONS, TableName.HISTORY):
            streams = self.call("dynamodbstreams", "list_streams", TableName=self.table.prefix + name)["Streams"]
            for stream in streams:
                arn = stream["StreamArn"]
                shards = self.call("dynamodbstreams", "describe_stream", StreamArn=arn)["StreamDescription"]["Shards"]
                for shard in shards:
                    iterator = self.call(
                        "dynamodbstreams",
                        "get_shard_iterator",
                        StreamArn=arn,
                        ShardId=shard["ShardId"],
                        ShardIteratorType="LATEST",
                    )
                    found.append((arn, iterator["ShardIterator"]))
        return found

    def _records(self, place: tuple[str, str]) -> list[Json]:
        arn, iterator = place
        found = self.call("dynamodbstreams", "get_records", ShardIterator=iterator)["Records"]
        return [_as_a_function_sees_it(arn, each) for each in found]


def _as_a_function_sees_it(arn: str, record: Json) -> Json:
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    if "NewImage" in change:
        body = base64.b64encode(change["NewImage"]["body"]["B"]).decode()
        change["NewImage"] = change["NewImage"] | {"body": {"B": body}}
    return {"eventName": record["eventName"], "eventSourceARN": arn, "dynamodb": change}


@contextmanager
def installed(engine: Engine, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An empty installation whose market time is led; the environment is that of its functions meanwhile."""
    do: Callable[[Coroutine[Any, Any, Any]], Any] = running.loop().run_until_complete
    table: DynamoTable = do(opened(engine, folder, WALL.now))
    services = Services()
    try:
        house = do(_made(engine, folder, table, services))
        key = house.call("kms", "create_key", Description="tests")["KeyMetadata"]["Arn"]
        for name, value in {
            "TABLE_PREFIX": table.prefix,
            "SHARDS": str(SHARDS),
            "TIME": "led",
            "EXITS_QUEUE": house.exits,
            "ENTRIES_QUEUE": house.exits,
            "KEY": key,
            "USER_POOL": house.pool,
            "CLIENT": house.client,
            "SOCKET": f"{engine.endpoint}/_aws/execute-api/{house.socket_api}/live",
        }.items():
            patch.setenv(f"OPTION_BASKETS_{name}", value)
        yield house
        house.restart()
    finally:
        do(services.close())
        do(table.close())
        running.loop().close()
        running.loop.cache_clear()
        asyncio.set_event_loop(None)


async def _made(engine: Engine, folder: Path, table: DynamoTable, services: Services) -> Installation:
    await fix_shards(table, SHARDS)
    pool = await services.call("cognito-idp", "create_user_pool", PoolName="people", UsernameAttributes=["email"])
    client = await services.call(
        "cognito-idp",
        "create_user_pool_client",
        UserPoolId=pool["UserPool"]["Id"],
        ClientName="web",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"],
    )
    queue = await services.call("sqs", "create_queue", QueueName=f"exits-{table.prefix[:20]}")
    return Installation(
        engine=engine,
        folder=folder,
        table=table,
        services=services,
        pool=pool["UserPool"]["Id"],
        client=client["UserPoolClient"]["ClientId"],
        exits=queue["QueueUrl"],
        socket_api=await _socket_api(services, table.prefix),
    )


async def _socket_api(services: Services, prefix: str) -> str:
    """A WebSocket API that says to whoever sends something what the connection is called."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("echo.py", _ECHO)
    function = await services.call(
        "lambda",
        "create_function",
        FunctionName=f"echo-{prefix[:20]}",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="echo.handler",
        Code={"ZipFile": buffer.getvalue()},
    )
    made = await services.call(
        "apigatewayv2",
        "create_api",
        Name="live",
        ProtocolType="WEBSOCKET",
        RouteSelectionExpression="$request.body.action",
    )
    api_id: str = made["ApiId"]
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    integration = await services.call(
        "apigatewayv2", "create_integration", ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=uri
    )
    target = f"integrations/{integration['IntegrationId']}"
    await services.call("apigatewayv2", "create_route", ApiId=api_id, RouteKey="$default", Target=target)
    await services.call("apigatewayv2", "create_stage", ApiId=api_id, StageName="live")
    return api_id
