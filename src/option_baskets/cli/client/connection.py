"""A server of the API, asked as somebody who is logged in there."""

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from option_baskets.adapters.clock import RealClock
from option_baskets.cli.client.logins import Login, Logins, server_of
from option_baskets.cli.client.problems import error_of, kind_of, seconds_of
from option_baskets.domain.errors import Unauthenticated, Unavailable, Unclear

TOKEN = "OPTION_BASKETS_TOKEN"
"""An access token for a script that has its own; it is neither renewed nor kept."""
PATIENCE = timedelta(seconds=30)
_EARLY = timedelta(seconds=30)
"""So long before its end an access token is renewed."""
_WAITS = 5
"""How often a request is sent again that came too soon after others."""
_LONGEST_WAIT = 10
_PAGE = 200

Json = Any


@dataclass(slots=True, kw_only=True)
class Connection:
    """Requests to one server. Made by ``connected``.

    Every method raises the error a problem document tells of; Unavailable where nobody answers, and Unclear where a
    request that changes something was sent and its answer lost.
    """

    server: str
    logins: Logins
    clock: RealClock
    token: str = field(repr=False)
    """Of the environment; empty: that of the kept login."""
    http: httpx.AsyncClient

    async def get(self, path: str, **query: object) -> Json:
        """The JSON of an answer; numbers with a point are Decimals."""
        return decoded(await self.ask("GET", path, query=query))

    async def pages(self, path: str, **query: object) -> AsyncIterator[Json]:
        """The items of a list, whichever page they are on."""
        cursor: str | None = None
        while True:
            page = await self.get(path, **{"limit": _PAGE} | query, cursor=cursor)
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return

    async def listed(self, path: str, **query: object) -> list[Json]:
        """All of them."""
        return [item async for item in self.pages(path, **query)]

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        as_somebody: bool = True,
    ) -> httpx.Response:
        """The answer. Parameters of the query that are None are left out.

        A POST has an Idempotency-Key of its own unless one is given.
        """
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if method == "POST" and as_somebody:
            sent.setdefault("Idempotency-Key", secrets.token_hex(16))
        request = self.http.build_request(method, path, params=asked or None, content=body, headers=sent)
        if not as_somebody:
            return await self._taken(request)
        token = await self.access_token()
        request.headers["Authorization"] = f"Bearer {token}"
        try:
            return await self._taken(request)
        except Unauthenticated:
            if self.token:
                raise
        request.headers["Authorization"] = f"Bearer {await self.access_token(spent=token)}"
        return await self._taken(request)

    async def access_token(self, spent: str = "") -> str:
        """One that holds; another than ``spent``, which was refused.

        Raises:
            Unauthenticated: nobody is logged in, or the login is over.
        """
        if self.token:
            return self.token
        with self.logins.alone(self.server):
            login = self.logins.get(self.server)
            if login is None:
                raise Unauthenticated(f"nobody is logged in at {self.server}: {self._way_in}, or set {TOKEN}")
            if login.access_token != spent and login.expires_at - _EARLY > self.clock.now():
                return login.access_token
            return (await self._renewed(login)).access_token

    async def login(self, email: str, password: str, code: str) -> Login:
        """Log in and keep it."""
        body = json.dumps({"email": email, "password": password} | ({"code": code} if code else {})).encode()
        answer = await self.ask("POST", "/auth/login", body=body, as_somebody=False)
        return self._kept(email, decoded(answer))

    async def _renewed(self, login: Login) -> Login:
        body = json.dumps({"refresh_token": login.refresh_token}).encode()
        try:
            answer = await self.ask("POST", "/auth/refresh", body=body, as_somebody=False)
        except (Unauthenticated, Unclear) as error:  # a second try with the same token would end the login, too
            self.logins.forget(self.server)
            raise Unauthenticated(f"the login at {self.server} is over: {self._way_in}") from error
        return self._kept(login.email, decoded(answer))

    def _kept(self, email: str, given: Json) -> Login:
        login = Login(
            server=self.server,
            email=email,
            access_token=given["access_token"],
            expires_at=datetime.fromisoformat(given["expires_at"]),
            refresh_token=given["refresh_token"],
        )
        self.logins.keep(login)
        return login

    async def _taken(self, request: httpx.Request) -> httpx.Response:
        """The answer, where the request was taken; a user's rate of requests is waited for."""
        for wait in range(_WAITS + 1):
            answer = await self._sent(request)
            if answer.status_code < 400:
                return answer
            soon = kind_of(answer) == "too-many" and seconds_of(answer) <= _LONGEST_WAIT
            if not soon or wait == _WAITS or request.url.path.startswith("/auth/"):
                raise error_of(answer)
            await self.clock.pause(timedelta(seconds=seconds_of(answer)))
        raise AssertionError("the last try returns or raises")

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self.http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unavailable(f"nobody answers at {self.server} ({error}): does baskets serve run there?") from error
        except httpx.TransportError as error:
            if request.method == "GET":
                raise Unavailable(f"{self.server} did not answer {request.url.path}: {error!r}") from error
            raise Unclear(
                f"{self.server} took {request.method} {request.url.path} and did not answer ({error!r}); "
                "whether it was done is not known: look before you ask again"
            ) from error

    @property
    def _way_in(self) -> str:
        return f"baskets login --server {self.server}"


@contextlib.asynccontextmanager
async def connected(server: str) -> AsyncIterator[Connection]:
    """A connection to the server of an address.

    Raises:
        Invalid: it is none.
    """
    address = server_of(server)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE.total_seconds()) as http:
        yield Connection(
            server=address,
            logins=Logins.usual(),
            clock=RealClock(),
            token=os.environ.get(TOKEN, "").strip(),
            http=http,
        )


def decoded(answer: httpx.Response) -> Json:
    """Raises Unavailable: it is no JSON, so another than the API answered."""
    try:
        return json.loads(answer.content, parse_float=Decimal)
    except ValueError:
        where = f"{answer.request.method} {answer.request.url}"
        raise Unavailable(f"{where} was answered without JSON, and not by the API; is the address right?") from None
