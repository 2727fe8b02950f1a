"""The process that lives: it has the exchange and the time, lets the engine be born, kills it, and lets time run on."""

import asyncio
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_behaviour import Behaviour
from option_baskets.adapters.clock import SimulatedClock, run_simulated
from option_baskets.wiring import LOCAL_USER, PAPER_FILE
from tests.chaos.engine import Engine, live
from tests.chaos.failpoints import Death, Window
from tests.chaos.line import Account, Answer, Call, Done, Go, Idle, Update

MINUTE = timedelta(minutes=1)
MOST_LIVES = 200
"""Of one day; a day that needs more does not get on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A death: when on the market's clock, how, and how long nobody was there."""

    at: datetime
    how: Death
    gone: timedelta


@dataclass(slots=True, kw_only=True)
class Day:
    """A day the engine lived through, in one life or many."""

    engine: Engine
    deaths: Callable[[int], tuple[Death, timedelta]]
    """For the number of a life: its death, and how long nobody is there after it."""
    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
    kills: list[Killed] = field(default_factory=list)

    def run(self) -> None:
        run_simulated(self._run, self.engine.session.starts)

    async def _run(self, clock: SimulatedClock) -> None:
        engine = self.engine
        engine.data.mkdir(parents=True)
        exchange = PaperExchange.open(
            engine.data / PAPER_FILE,
            engine.market.feed,
            clock,
            fills=engine.market.fills,
            is_trading=engine.market.is_trading,
            threaded=False,
            durable=False,
        )
        for account in sorted({account.id for file in engine.files for account in file.accounts}):
            exchange.broker(account, user=LOCAL_USER, behaviour=self.behaviour.get(account))
        market = asyncio.create_task(self._move_market(exchange, clock))
        try:
            for number in range(MOST_LIVES):
                death, gone = self.deaths(number)
                if await self._life(exchange, clock, death):
                    break
                self.kills.append(Killed(at=clock.now(), how=death, gone=gone))
                await clock.sleep_until(clock.now() + gone)
            else:
                raise AssertionError(f"{MOST_LIVES} lives did not end the day; the last died {death}")
            await clock.sleep_until(engine.session.close)
        finally:
            market.cancel()
            await asyncio.gather(market, return_exceptions=True)
            await exchange.close()

    async def _move_market(self, exchange: PaperExchange, clock: SimulatedClock) -> None:
        at = self.engine.session.starts
        while at < self.engine.session.close:
            await clock.sleep_until(at)
            await exchange.on_market(at)
            at += MINUTE

    async def _life(self, exchange: PaperExchange, clock: SimulatedClock, death: Death) -> bool:
        """One life of the engine; whether it ended the day."""
        ours, theirs = Pipe()
        child = os.fork()
        if child == 0:
            ours.close()
            _never_return(self.engine, theirs, death)
        theirs.close()
        try:
            async with _Desk.opened(exchange, clock, ours) as desk:
                with _signalled(child, death.after):
                    return await desk.serve()
        finally:
            ours.close()
            _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - its pipe is closed, so it is over
            if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
                raise AssertionError(
                    f"the engine ended with {os.WEXITSTATUS(status)} in the life that was to die {death}"
                )


def _never_return(engine: Engine, pipe: Connection, death: Death) -> None:
    try:
        live(engine, pipe, death)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)


@contextmanager
def _signalled(child: int, after: float | None) -> Iterator[None]:
    """Meanwhile the process is killed after so many seconds of real time."""
    if after is None:
        yield
        return
    timer = threading.Timer(after, os.kill, (child, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class _Desk:
    """The other end of one life's pipe."""

    def __init__(self, exchange: PaperExchange, clock: SimulatedClock, pipe: Connection) -> None:
        self._exchange = exchange
        self._clock = clock
        self._pipe = pipe
        self._brought: list[Answer | Update] = []
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls, exchange: PaperExchange, clock: SimulatedClock, pipe: Connection) -> AsyncIterator["_Desk"]:
        desk = cls(exchange, clock, pipe)
        listeners = [asyncio.create_task(desk._listen(account)) for account in exchange.accounts]
        try:
            yield desk
        finally:
            for task in listeners:
                task.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def serve(self) -> bool:
        """Turn after turn until the day is over (True) or the process is dead (False)."""
        try:
            while True:
                self._pipe.send(Go(self._clock.now(), tuple(self._brought)))
                self._brought.clear()
                self._news.clear()
                due = self._turn()
                if isinstance(due, Done):
                    return True
                await self._until(due.until)
        except (EOFError, ConnectionError):
            return False

    def _turn(self) -> Idle | Done:
        """Take the calls of a turn; nothing else happens meanwhile."""
        while True:
            said = self._pipe.recv()
            if isinstance(said, (Idle, Done)):
                return said
            task = asyncio.create_task(self._do(said))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _do(self, call: Call) -> None:
        """What was called is done whether its caller lives or not."""
        user, account = call.account
        method: Any = getattr(self._exchange.broker(account, user=user), call.method)
        try:
            answer = Answer(call.number, value=await method(*call.given, **call.named))
        except Exception as error:
            answer = Answer(call.number, error=error)
        self._bring(answer)

    async def _listen(self, account: Account) -> None:
        async for report in self._exchange.accounts[account].updates():
            self._bring(Update(account, report))

    def _bring(self, each: Answer | Update) -> None:
        self._brought.append(each)
        self._news.set()

    async def _until(self, due: datetime | None) -> None:
        news = asyncio.create_task(self._news.wait())
        waits: set[asyncio.Task[Any]] = {news}
        if due is not None:
            waits.add(asyncio.create_task(self._clock.sleep_until(due)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """How the lives of a day end: a function of seed and number, so that one day can be played again.

    ``kills`` lives die; the next lives to the end. Of the deaths ``at_windows`` are at named places in turn, the rest
    after a random number of calls, and some by a signal at a random instant of real time, which no seed repeats.
    """

    seed: int
    kills: int
    windows: tuple[Window, ...] = tuple(Window)
    signals: float = 0.1
    long_gaps: float = 0.02

    def __call__(self, number: int) -> tuple[Death, timedelta]:
        if number >= self.kills:
            return Death(), timedelta()
        draw = random.Random(f"{self.seed}/{number}")
        return self._death(draw, number), self._gap(draw)

    def _death(self, draw: random.Random, number: int) -> Death:
        if draw.random() < self.signals:
            return Death(after=draw.uniform(0.005, 0.6))
        if draw.random() < 0.5:
            return Death(calls=int(10 ** draw.uniform(3, 5.6)))
        window = self.windows[number % len(self.windows)]
        most = {Window.CLAIM: 2, Window.JOURNAL: 4, Window.SEND: 8}.get(window, 40)
        return Death(window=window, passing=draw.randint(1, most), before=window is Window.START or draw.random() < 0.5)

    def _gap(self, draw: random.Random) -> timedelta:
        if draw.random() < self.long_gaps:
            return timedelta(seconds=draw.uniform(60, 150))
        return timedelta(seconds=draw.uniform(0.1, 8))
