"""Where the engine's process dies: at a named place, after so many calls of Python functions, or not at all."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType
from typing import Any, NoReturn

from option_baskets.domain.order import Order, OrderReport, OrderState
from option_baskets.domain.risk import Approved
from option_baskets.domain.run import Run, RunStatus
from option_baskets.ports import Item, Page, Put, Write
from option_baskets.store import codec
from option_baskets.store.keys import ORDER


class Window(StrEnum):
    START = "start"
    """Taking up the day after the death before, or at first."""
    CLAIM = "claim"
    """The commit that makes a run."""
    JOURNAL = "journal"
    """A commit with an order that was not handed over yet."""
    SEND = "send"
    """Handing an order over."""
    COMMIT = "commit"
    """Any other commit: fills, positions, marks, messages."""
    RECONCILE = "reconcile"
    """Reading a broker's order book or positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When a life ends: on its ``passing``-th passing of a window, before or after what is done there; or at the
    ``calls``-th call of a Python function, or ``after`` so many seconds of real time by a signal from outside; with
    none of them it lives to the end of the day."""

    window: Window | None = None
    passing: int = 0
    before: bool = False
    calls: int | None = None
    after: float | None = None

    def __str__(self) -> str:
        if self.window is not None:
            return f"{'before' if self.before else 'after'} {self.window} {self.passing}"
        if self.calls is not None:
            return f"at call {self.calls:,}"
        return "never" if self.after is None else f"after {1000 * self.after:.1f} ms"


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives SIGKILL")


class Fate:
    """Counts the passings of this life and ends it."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._passed = 0
        self.is_starting = True
        if death.calls is not None:
            self._count_down(death.calls)

    def passes(self, window: Window, *, before: bool) -> None:
        death = self._death
        if window is not death.window or before is not death.before:
            return
        self._passed += 1
        if self._passed >= death.passing:
            die()

    def _count_down(self, left: int) -> None:
        def called(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                die()

        sys.setprofile(called)


class MortalTable:
    """A table in front of which a life may end, and behind which."""

    def __init__(self, table: Any, fate: Fate) -> None:
        self._table = table
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def get(self, *given: Any) -> Item | None:
        self._starting()
        item: Item | None = await self._table.get(*given)
        return item

    async def query(self, *given: Any, **named: Any) -> Page:
        self._starting()
        page: Page = await self._table.query(*given, **named)
        return page

    async def commit(self, writes: Sequence[Write]) -> None:
        self._starting()
        if any(isinstance(write, Put) and write.item.pk.startswith("TICKS#") for write in writes):
            self._fate.is_starting = False  # the timer runs
        window = window_of(writes)
        self._fate.passes(window, before=True)
        await self._table.commit(writes)
        self._fate.passes(window, before=False)

    def _starting(self) -> None:
        if self._fate.is_starting:
            self._fate.passes(Window.START, before=True)


class MortalBroker:
    """A broker before whose calls a life may end, and after their answers."""

    def __init__(self, broker: Any, fate: Fate) -> None:
        self._broker = broker
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    async def place(self, approved: Approved) -> OrderReport:
        report: OrderReport = await self._passing(Window.SEND, self._broker.place, approved)
        return report

    async def orders(self) -> tuple[OrderReport, ...]:
        reports: tuple[OrderReport, ...] = await self._passing(Window.RECONCILE, self._broker.orders)
        return reports

    async def positions(self) -> Any:
        return await self._passing(Window.RECONCILE, self._broker.positions)

    async def _passing(self, window: Window, call: Any, *given: Any) -> Any:
        self._fate.passes(window, before=True)
        answer = await call(*given)
        self._fate.passes(window, before=False)
        return answer


def window_of(writes: Sequence[Write]) -> Window:
    """What a commit is for."""
    puts = [write for write in writes if isinstance(write, Put)]
    for put in puts:
        if put.item.sk.startswith("RUN#") and codec.decode(put.item.body, Run).status is RunStatus.SCHEDULED:
            return Window.CLAIM
    for put in puts:
        if ORDER in put.item.sk:
            order = codec.decode(put.item.body, Order)
            if order.state in {OrderState.CREATED, OrderState.SENDING}:
                return Window.JOURNAL
    return Window.COMMIT
