"""Somebody who uses the deployed platform: registers with Cognito, asks the API, and listens to the live stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.basket_file.tables import allocation_table, basket_table, strategy_table
from tests.aws.deployed import Deployed

Json = dict[str, Any]
PASSWORD = "Diwali-2025-lamps!"


@dataclass(kw_only=True)
class Person:
    platform: Deployed
    token: str
    id: str
    http: httpx.AsyncClient
    messages: list[Json] = field(default_factory=list)
    """What the live stream has said."""

    async def answer(self, method: str, path: str, body: object = None, expected: int = 200) -> Json:
        """What the API answers, which is of the expected status."""
        content = None if body is None else json.dumps(body, default=float)
        headers = {} if content is None else {"Content-Type": "application/json"}
        answer = await self.http.request(method, path, content=content, headers=headers)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    async def everything(self, path: str) -> list[Json]:
        """All items of all pages."""
        items: list[Json] = []
        following: str | None = ""
        while following is not None:
            join = "&" if "?" in path else "?"
            page = await self.answer("GET", path + (f"{join}cursor={following}" if following else ""))
            items += page["items"]
            following = page["next"]
        return items

    async def make(self, plans: BasketFile) -> None:
        """Accounts, the basket, its strategies and their allocations, by the API."""
        for account in plans.accounts:
            await self.answer("POST", "/broker-accounts", {"id": account.id, "broker": account.broker}, 201)
        basket = await self.answer("POST", "/options/baskets", basket_table(plans.basket), 201)
        for strategy in plans.strategies:
            path = f"/options/baskets/{basket['id']}/strategies"
            made = await self.answer("POST", path, strategy_table(strategy), 201)
            for allocation in plans.of(strategy):
                path = f"/options/strategies/{made['id']}/brokers"
                await self.answer("POST", path, allocation_table(allocation), 201)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """While the live stream is listened to; it has let this person in."""
        url = f"{self.platform.emulator.endpoint}/_aws/execute-api/{self.platform.socket_api}/live"
        async with aiohttp.ClientSession() as session, session.ws_connect(url.replace("http", "ws", 1)) as socket:
            await socket.send_json({"token": self.token})
            heard = asyncio.create_task(self._hear(socket), name="live stream")
            try:
                await self.platform.met(self._is_let_in, "the live stream lets somebody in")
                yield
            finally:
                heard.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await heard

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            self.messages += map(json.loads, str(frame.data).splitlines())

    async def _is_let_in(self) -> bool:
        return any(message["type"] == "listening" for message in self.messages)

    def told(self, type_: str) -> list[Json]:
        """Messages of a type, as they came."""
        return [message for message in self.messages if message["type"] == type_]


@asynccontextmanager
async def registered(platform: Deployed, email: str) -> AsyncIterator[Person]:
    """Registers, confirms the address as its owner would, and logs in; all of it with Cognito."""
    pool, client = platform.outputs["UserPoolOutput"], platform.outputs["UserPoolClientOutput"]
    user = await platform.call(
        "cognito-idp",
        "sign_up",
        ClientId=client,
        Username=email,
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": email}],
    )
    await platform.call("cognito-idp", "admin_confirm_sign_up", UserPoolId=pool, Username=email)
    login = await platform.call(
        "cognito-idp",
        "initiate_auth",
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": email, "PASSWORD": PASSWORD},
    )
    token = login["AuthenticationResult"]["AccessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=platform.api, headers=headers, timeout=60) as http:
        yield Person(platform=platform, token=token, id=user["UserSub"], http=http)
