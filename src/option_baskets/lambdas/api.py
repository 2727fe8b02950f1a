"""The HTTP API: the app of ``api/app.py`` behind API Gateway. Cognito says who asks; nobody logs in here."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib import import_module
from typing import Any

from mangum import Mangum

from option_baskets.api.app import ROUTERS, make_app
from option_baskets.api.platform import Platform
from option_baskets.cloud import Cloud
from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.connection import ConnectionTest
from option_baskets.domain.session import IST, Session
from option_baskets.engine.connections import BrokerConnections
from option_baskets.engine.messages import LOOK, work_message
from option_baskets.lambdas.running import flush, loop, opened
from option_baskets.lambdas.traced import traced
from option_baskets.store.installation import cursor_key

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

for _name in set(ROUTERS) - {"auth"}:  # now, while the process begins and has a whole core, not in the first request
    import_module(f"option_baskets.api.{_name}")

_mangum: Mangum | None = None


def handler(event: Mapping[str, Any], context: object) -> Mapping[str, Any]:
    """One request, as HTTP APIs of API Gateway bring it (payload format 2.0)."""
    global _mangum  # noqa: PLW0603  the app is made once a process
    running = loop()
    with traced(context):
        try:
            if _mangum is None:
                _mangum = running.run_until_complete(_made())
            answer: Mapping[str, Any] = _mangum(dict(event), context)  # type: ignore[arg-type]
            return answer
        finally:
            flush()


def forget() -> None:
    """The next request makes the app anew, for tests that are several processes."""
    global _mangum  # noqa: PLW0603
    _mangum = None


async def _made() -> Mangum:
    cloud = await opened()
    app = make_app(await platform_of(cloud))

    async def at_work(scope: Scope, receive: Receive, send: Send) -> None:
        async with cloud.at_work():
            await app(scope, receive, send)

    return Mangum(at_work, lifespan="off")


async def platform_of(cloud: Cloud) -> Platform:
    """What the routes are given here: the tables, the queue and the market of the deployment, and no engine."""
    here = _Here(cloud)
    return Platform(
        books=cloud.books,
        queue=cloud.queue,
        feed=cloud.late_feed(),
        facts=cloud.facts,
        cadence=cloud.cadence,
        market=cloud.clock,
        wall=cloud.wall,
        private=cloud.private,
        identity=await cloud.identity(),
        vault=await cloud.vault(),
        accounts=_PaperConnections(cloud),
        session=here.session,
        cursor_key=await cursor_key(cloud.private),
        look=here.look,
    )


class _Here:
    """What in one process the engine does itself."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def session(self) -> Session | None:
        now = self._cloud.clock.now().astimezone(IST)
        session = self._cloud.session_on(now.date())
        return session if session is not None and session.starts <= now < session.close else None

    async def look(self, user_id: str) -> None:
        """Where nothing is traded nobody is sent for: who works for the user next looks first."""
        if self.session() is None:
            return
        queue = self._cloud.queue
        message = work_message(LOOK, user_id, self._cloud.clock.now())
        await self._cloud.books.commit(queue.write(message))
        await queue.sent([message])


class _PaperConnections:
    """Tests accounts by looking into the paper exchange's book."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def test(self, user_id: str, account: BrokerAccount) -> ConnectionTest:
        if account.broker != "paper":
            return await BrokerConnections(lambda _, __: None).test(user_id, account)
        from option_baskets.adapters.brokers.fills import QuotedFills
        from option_baskets.adapters.brokers.paper import PaperExchange
        from option_baskets.adapters.table_book import TableBook

        cloud = self._cloud
        today = cloud.clock.now().astimezone(IST).date()
        book = await TableBook.open(cloud.table, user_id, today)
        exchange = PaperExchange(
            book, cloud.late_feed(), cloud.clock, fills=QuotedFills(), is_trading=lambda contract, at: False
        )
        try:
            return await BrokerConnections(lambda user, one: exchange.broker(one.id, user=user)).test(user_id, account)
        finally:
            await exchange.close()
