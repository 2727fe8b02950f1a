"""A real server for tests: HTTP over a socket, real files, and a market that only the test moves on.

``served`` is the fixture; ``serve`` starts one with other terms. Nothing sleeps: ``until`` leads the market's clock
from one due instant to the next, and lets everything that is due be done before it goes on.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from option_baskets.adapters.clock import LedClock, run_real
from option_baskets.adapters.facts import load
from option_baskets.adapters.identity.passwords import Cost, Hashing
from option_baskets.adapters.identity.roster import Roster
from option_baskets.adapters.identity.terms import Terms
from option_baskets.api.platform import Platform
from option_baskets.cli.http_server import listening
from option_baskets.cli.running import Speed
from option_baskets.cli.serving import Served as Open
from option_baskets.cli.serving import Serving
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import IST, at
from option_baskets.ports import Role

T = TypeVar("T")

DAY = date(2026, 11, 23)
"""A Monday with an ordinary session, and the day tests begin on, at 09:15."""
PASSWORD = "correct horse battery staple"
FACTS = load()
QUICK = Terms(cost=Cost(passes=1, memory=8))
"""Passwords are hashed in no time, which no server that is meant should do."""
_PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is logged in. ``http`` sends their token with every request."""

    email: str
    id: str
    token: str
    http: httpx.Client


@dataclass(kw_only=True)
class Server:
    """A server under way in a thread of its own."""

    url: str
    data: Path
    http: httpx.Client
    """Of nobody: without a token."""
    clock: LedClock
    loop: asyncio.AbstractEventLoop
    open: Open
    stop: asyncio.Event
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def platform(self) -> Platform:
        return self.open.platform

    def user(self, email: str = "ann@example.org", *, role: Role = Role.USER, user_id: str | None = None) -> Person:
        """Who has this email, logged in; made where nobody has it yet."""
        if email not in self.people:
            self.people[email] = self.ask(lambda: self._person(email, role, user_id))
        return self.people[email]

    def ask(self, what: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine returns on the server's loop: for a look at the store that no route gives."""
        answer: Future[T] = asyncio.run_coroutine_threadsafe(what(), self.loop)
        return answer.result(_PATIENCE)

    def until(self, moment: str | datetime) -> None:
        """Lead the market on to an instant, or to a time of the day it is at, with all that happens until then."""
        self.ask(lambda: self._lead(self._instant(moment)))

    def later(self, span: timedelta) -> None:
        """Lead the market on by so much."""
        self.ask(lambda: self._lead(self.clock.now() + span))

    @property
    def now(self) -> datetime:
        """The market's time, in the exchange's zone."""
        return self.clock.now().astimezone(IST)

    def _instant(self, moment: str | datetime) -> datetime:
        return moment if isinstance(moment, datetime) else at(self.now.date(), time.fromisoformat(moment))

    async def _lead(self, moment: datetime) -> None:
        await self._quiet()
        while (due := self.clock.due) is not None and due <= moment:
            self.clock.lead(due)
            await self._quiet()
        self.clock.lead(moment)
        await self._quiet()

    async def _quiet(self) -> None:
        """Return when nothing but this could go on: whoever works waits for the clock, or for a request.

        Tables commit on the loop's own thread here, so nothing of the engine waits for anything else.
        """
        ready: Any = self.loop._ready  # type: ignore[attr-defined]
        for _ in range(3):  # what a callback schedules is there one turn later
            await asyncio.sleep(0)
            while ready:  # noqa: ASYNC110 - an empty queue of the loop gives no event
                await asyncio.sleep(0)

    async def _person(self, email: str, role: Role, user_id: str | None) -> Person:
        entrance = self.open.entrance
        hashing = Hashing(QUICK.cost)
        try:
            user = await Roster(entrance.people, hashing, entrance.wall).add(
                email, PASSWORD, role=role, user_id=user_id
            )
        finally:
            hashing.close()
        tokens = await entrance.sign_in.login(email, PASSWORD, code="", client="127.0.0.1")
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        http = httpx.Client(base_url=self.url, headers=headers, timeout=_PATIENCE)
        return Person(email=email, id=user.id, token=tokens.access_token, http=http)


@contextlib.contextmanager
def serve(
    data: Path,
    *,
    day: date = DAY,
    facts: Facts = FACTS,
    terms: Terms = QUICK,
    serving_of: Callable[..., Serving] = Serving,
    **options: Any,
) -> Iterator[Server]:
    """A server over a data folder, from where that is or from the open of ``day``; ``options`` are of ``Serving``."""
    given: dict[str, Any] = {
        "speed": Speed("1"),
        "seed": 7,
        "threaded": False,
        "durable": False,
        "kills_every": timedelta(seconds=10),
    }
    serving = serving_of(data=data, facts=facts, first=day, port=0, terms=terms, **(given | options))
    started: Future[tuple[asyncio.AbstractEventLoop, Open, asyncio.Event, LedClock]] = Future()
    ended: list[BaseException] = []
    with listening(serving.host, serving.port) as (listener, url):

        async def main() -> None:
            place = await serving.place()
            clock, stop = LedClock(place.at.astimezone(IST), None), asyncio.Event()
            loop = asyncio.get_running_loop()
            await serving.serve(
                listener, place, clock, lambda open_: started.set_result((loop, open_, stop, clock)), stop=stop
            )

        def work() -> None:
            try:
                run_real(main())
            except BaseException as error:
                ended.append(error)
                if not started.done():
                    started.set_exception(error)

        thread = threading.Thread(target=work, name="server")
        thread.start()
        try:
            loop, opened, stop, clock = started.result(_PATIENCE)
            with httpx.Client(base_url=url, timeout=_PATIENCE) as http:
                server = Server(
                    url=url,
                    data=data,
                    http=http,
                    clock=clock,
                    loop=loop,
                    open=opened,
                    stop=stop,
                )
                try:
                    server.until(clock.now())  # the engine has taken up its day
                    yield server
                finally:
                    for person in server.people.values():
                        person.http.close()
                    with contextlib.suppress(RuntimeError):  # it has stopped
                        loop.call_soon_threadsafe(stop.set)
        finally:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "the server did not stop"
    if ended:
        raise ended[0]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A server over an empty data folder, at 09:15 of DAY."""
    with serve(tmp_path / "data") as server:
        yield server
