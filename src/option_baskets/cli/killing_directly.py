"""``baskets kill --direct``: the paper exchange is opened without an engine, and its accounts are closed by its book.

The exchange lives in the process that trades. Without one it stands still, and its market has to be said: the simulated
one by its seed, or a recorded one, at an instant.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Self

from rich.console import Console

from option_baskets.adapters.brokers.paper import PaperExchange
from option_baskets.adapters.brokers.paper_book import Entry, PaperBook
from option_baskets.adapters.clock import RealClock
from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.recorded import RecordedFeed
from option_baskets.cli.data_folder import alone, holder
from option_baskets.cli.killing import actor, books_of
from option_baskets.cli.running import Running, Speed
from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Invalid, NotFound, OptionBasketsError, Unavailable
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.domain.session import IST, Session, session_on, with_halts
from option_baskets.engine.direct import Direct, flatten_all
from option_baskets.wiring import LOCAL_USER, PAPER_FILE

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectKill:
    """What is asked for, checked as far as options can be."""

    data: Path
    account: str | None
    recorded: RecordedFeed | None
    seed: int
    at: datetime | None

    @classmethod
    def of(
        cls,
        data: Path,
        account: str | None,
        basket: str | None,
        strategy: str | None,
        everything: bool,
        *,
        market: str,
        seed: int,
        at: datetime | None,
    ) -> Self:
        """Raises:
        Invalid: the options do not go together.
        """
        if basket is not None or strategy is not None:
            raise Invalid("a broker's book knows no baskets and strategies: --direct takes --account NAME or --all")
        if everything == (account is not None):
            raise Invalid("say what: one of --account NAME and --all")
        kind, _, folder = market.partition(":")
        if kind not in {"simulated", "recorded"} or (kind == "recorded") != bool(folder):
            raise Invalid(f"{market!r} is neither simulated nor recorded:DIR", where="--market")
        if folder and not Path(folder).is_dir():
            raise Invalid(f"there is no folder {folder}", where="--market")
        recorded = RecordedFeed(Path(folder)) if folder else None
        moment = None if at is None else at.replace(tzinfo=IST)
        return cls(data=data, account=account, recorded=recorded, seed=seed, at=moment)

    async def carry_out(self, console: Console, reason: str) -> bool:
        """Close the accounts; whether they are flat.

        Raises:
            Unavailable: a process trades in the folder.
            NotFound: there is no exchange, or no such account.
        """
        path = self.data / PAPER_FILE
        if not path.is_file():
            raise NotFound(f"there is no paper exchange in {self.data}")
        engine = holder(self.data)
        if engine is not None:
            raise Unavailable(
                f"process {engine} trades in {self.data}: use baskets kill without --direct. Where it does not take "
                f"the switch up, end it first (kill -9 {engine}): the paper exchange lives in it, and two of them "
                "would write one book"
            )
        with alone(self.data):
            left = await self._close(console, path, reason)
        for account, units in left.items():
            text = ", ".join(f"{each:+d} {contract.name}" for contract, each in units.items())
            console.print(f"{account}: [bold red]left is {text}[/]" if text else f"{account}: [green]flat[/]")
        if any(left.values()) and self.recorded is None:
            console.print(f"its market was the simulated one of seed {self.seed}; --seed has to be that of baskets run")
        return not any(left.values())

    async def _fence(self, console: Console, reason: str) -> None:
        """Throw the switch too, so that an engine that is started later enters nothing; where the books allow it."""
        subject: Killed = (KillScope.ACCOUNT, self.account) if self.account else (KillScope.USER, "")
        why = f"direct: {reason}" if reason else "direct"
        kill = Kill(user_id=LOCAL_USER, subject=subject, at=RealClock().now(), actor=actor(), reason=why)
        try:
            async with books_of(self.data) as books:
                await books.save_kill(kill)
        except OptionBasketsError as error:
            console.print(
                f"[bold red]no fence is written[/]: {error}. A process that is started enters again", style=""
            )
        else:
            console.print(f"[bold]{kill.what} is killed[/]: nothing is entered there until baskets arm")

    async def _close(self, console: Console, path: Path, reason: str) -> Mapping[str, Mapping[Contract, int]]:
        entries, held = await _book(path)
        session, at = self._instant(max((entry.report.at for entry in entries), default=None))
        clock = RealClock(1, at, zone=IST)
        console.print(f"the market of {at:%d-%b-%Y %H:%M:%S}", highlight=False)
        running = Running(
            data=self.data,
            baskets=(),
            facts=load(),
            speed=Speed("1"),
            recorded=self.recorded,
            seed=self.seed,
            with_charges=False,
        )
        market = running.market(session, sorted({contract.underlying for contract in held}))
        exchange = PaperExchange.open(path, market.feed, clock, fills=market.fills, is_trading=market.is_trading)
        try:
            known = {account for user, account in exchange.accounts if user == LOCAL_USER}
            if self.account is not None and self.account not in known:
                raise NotFound(
                    f"the exchange has no account {self.account}; it has {', '.join(sorted(known)) or 'none'}"
                )
            await self._fence(console, reason)
            return await flatten_all(
                [
                    Direct(
                        user_id=LOCAL_USER,
                        broker=exchange.broker(account, user=LOCAL_USER),
                        market=market.feed,
                        clock=clock,
                        facts=running.facts,
                        began=RealClock().now(),
                        tell=lambda text: console.print(text, highlight=False),
                    )
                    for account in sorted(known if self.account is None else {self.account})
                ]
            )
        finally:
            await exchange.close()

    def _instant(self, newest: datetime | None) -> tuple[Session, datetime]:
        """The session and the instant of its market.

        Raises:
            Invalid: there is none, or nothing is traded then.
        """
        now = RealClock().now().astimezone(IST)
        session = self._session(now.date())
        at = self.at or (now if session and session.is_open(now) and (newest is None or newest <= now) else newest)
        if at is None:
            raise Invalid("the exchange's book is empty; there is nothing to close")
        at = at.astimezone(IST)
        session = self._session(at.date())
        if session is None or not session.is_open(at):
            raise Invalid(
                f"nothing is traded at {at:%d-%b-%Y %H:%M}; give an instant of a session, e.g. --at "
                f'"{at:%Y-%m-%d} 11:00"',
                where="--at",
            )
        return session, at

    def _session(self, day: date) -> Session | None:
        if self.recorded is None:
            return session_on(load(), day)
        return with_halts(load(), self.recorded.session(day)) if day in set(self.recorded.sessions()) else None


async def _book(path: Path) -> tuple[list[Entry], set[Contract]]:
    """Orders of the last day on which something was ordered, and everything that is held or works."""
    book = PaperBook(path, threaded=False, durable=True)
    try:
        day = book.last_day()
        entries: Iterable[Entry] = book.entries(day) if day else ()
        newest = list(entries)
        held = {contract for _, _, contract, _ in book.net()}
        return newest, held | {entry.report.contract for entry in newest if not entry.report.state.is_final}
    finally:
        await book.close()
