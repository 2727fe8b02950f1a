"""One SQLite file with one writer that commits in groups: many callers, one fsync."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from option_baskets.domain.errors import Halt, OptionBasketsError, Unavailable

T = TypeVar("T")
Row = tuple[Any, ...]
Together = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
"""Does many requests inside the open transaction and returns one outcome a request, in order: its result, or the
exception it failed with; a request that failed has left no trace."""

Written = Callable[[Any], None]
"""Told of a request, by its argument, on the event loop, once it is durable; it must not raise."""

_NO_MIGRATIONS: Mapping[int, str] = {}
CHECKPOINT_PAGES = 30_000
"""The write-ahead log is folded back every 120 MB: often enough for reads, seldom enough for a burst of orders."""
_WAIT_FOR_OTHERS = 5.0
"""Seconds a write waits for another program that holds the file."""


@dataclass(slots=True)
class _Request:
    together: Together
    argument: Any
    answer: asyncio.Future[Any]
    written: Written | None = None

    def tell(self, outcome: Any) -> None:
        if self.written is not None and not isinstance(outcome, BaseException):
            self.written(self.argument)


class SqliteFile:
    """Writes are durable when they return: a group of them shares one transaction and one fsync.

    While a group is being written the next one gathers. With ``threaded=False`` each write is a transaction of its
    own on the caller's thread, and no outcome depends on the timing of threads. ``durable=False`` skips every fsync,
    for files that are thrown away. Reads have their own connection and never wait for the writer. One event loop at a
    time uses the file.

    Raises:
        Unavailable: the disk is full, the file is locked, read-only, damaged or newer than this program.
    """

    def __init__(self, path: Path | str, *, threaded: bool = True, durable: bool = True) -> None:
        self.path = Path(path)
        self._pending: list[_Request] = []
        self._is_writing = False
        self._lock = threading.Lock()
        """Guards the two above between the event loop and the writer."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"writer-{self.path.stem}") if threaded else None
        try:
            self._writer = self._connect("FULL" if durable else "OFF")
            self._reader = self._connect("OFF")
            self._reader.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            raise failure(self.path, error) from error

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        schema: str,
        version: int,
        migrations: Mapping[int, str] = _NO_MIGRATIONS,
        threaded: bool = True,
        durable: bool = True,
    ) -> Self:
        """Open the file, creating it or bringing it up to date, in one transaction, from whatever version it has.

        Args:
            schema: DDL that makes a new file.
            version: of the schema, from 1; kept in the file.
            migrations: version → SQL that brings a file of the version before to it. A step that is not given is the
                schema, which is enough where only tables and indexes are added.
        """
        file = cls(path, threaded=threaded, durable=durable)
        try:
            file._prepare(schema, version, migrations)
        except OptionBasketsError:
            file._close()
            raise
        return file

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result once it is durable.

        ``work`` runs on the writer's thread, together with others, must not commit, and leaves no trace if it raises.
        """
        result: T = await self.together(_one_by_one, work)
        return result

    async def together(self, together: Together, argument: Any, written: Written | None = None) -> Any:
        """As ``write``, for requests that are done faster together: neighbours with equal ``together`` are one call.

        ``written`` is told of the argument before this returns, and also where nobody waits for that any more.
        """
        loop = asyncio.get_running_loop()
        request = _Request(together, argument, loop.create_future(), written)
        if self._thread is None:
            outcome = self._transaction([request])[0]
            request.tell(outcome)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        with self._lock:
            self._pending.append(request)
            start, self._is_writing = not self._is_writing, True
        if start:
            loop.run_in_executor(self._thread, self._write_pending, loop)
        return await request.answer

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Rows of one statement, as of the last finished commit."""
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise failure(self.path, error) from error

    async def close(self) -> None:
        """Finish what is pending and close; the file is then complete without its write-ahead log."""
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, int)  # waits for its turn after all writes
        self._close()

    def _prepare(self, schema: str, version: int, migrations: Mapping[int, str]) -> None:
        (found,) = self.read("PRAGMA user_version")[0]
        if found > version:
            raise Unavailable(
                f"{self.path} was written by a newer Option Baskets (format {found}, this program knows {version}); "
                "update the program or use another data folder"
            )
        if found == version:
            return
        steps = [migrations.get(step, schema) for step in range(found + 1, version + 1)] if found else [schema]
        try:
            self._writer.executescript(f"BEGIN IMMEDIATE; {';'.join(steps)}; PRAGMA user_version = {version}; COMMIT;")
        except sqlite3.Error as error:
            raise failure(self.path, error) from error

    def _close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        self._reader.close()
        self._writer.close()

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_WAIT_FOR_OTHERS, cached_statements=512
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return connection

    def _write_pending(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the writer's thread: group after group, each all that gathered while the one before was written."""
        while True:
            with self._lock:
                group, self._pending = self._pending, []
                if not group:
                    self._is_writing = False
                    return
            outcomes = self._transaction(group)
            with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits any more
                loop.call_soon_threadsafe(self._answer, group, outcomes)

    @staticmethod
    def _answer(group: list[_Request], outcomes: list[Any]) -> None:
        for request, outcome in zip(group, outcomes, strict=True):
            request.tell(outcome)
            if request.answer.done():  # the caller was cancelled; what it wrote stays written
                continue
            if isinstance(outcome, BaseException):
                request.answer.set_exception(outcome)
            else:
                request.answer.set_result(outcome)

    def _transaction(self, group: list[_Request]) -> list[Any]:
        """Outcomes of the group after its commit; nothing is written where the commit fails."""
        connection = self._writer
        outcomes: list[Any] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for together, requests in _neighbours(group):
                outcomes += together(connection, [request.argument for request in requests])
            connection.execute("COMMIT")
        except Exception as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return [self._told(error)] * len(group)
        return [self._told(outcome) for outcome in outcomes]

    def _told(self, outcome: Any) -> Any:
        """The outcome, with SQLite's errors as ours; a broken constraint is left for the one who set it."""
        if isinstance(outcome, sqlite3.Error) and not isinstance(outcome, sqlite3.IntegrityError):
            return failure(self.path, outcome)
        return outcome


def failure(path: Path, error: sqlite3.Error) -> OptionBasketsError:
    """SQLite's error as ours, with what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if "FSYNC" in name:
        return Halt(f"{path}: the disk did not confirm a write ({name}); restart once the disk is sound")
    if "no such table" in str(error):
        return Unavailable(f"{path}: {error}; restore the last backup; nothing was written")
    for prefix, advice in _ADVICE:
        if name.startswith(prefix):
            return Unavailable(f"{path}: {advice} ({name}); nothing was written")
    return Unavailable(f"{path}: {error} ({name or type(error).__name__}); nothing was written")


_ADVICE = (
    ("SQLITE_FULL", "the disk is full; free some space and try again"),
    ("SQLITE_BUSY", "another program holds the file; stop it or wait, then try again"),
    ("SQLITE_LOCKED", "another program holds the file; stop it or wait, then try again"),
    ("SQLITE_READONLY", "the file may not be written; give its folder write permission"),
    ("SQLITE_CANTOPEN", "the file cannot be opened; check that its folder exists and may be written"),
    ("SQLITE_CORRUPT", "the file is damaged; restore the last backup"),
    ("SQLITE_NOTADB", "this is not a SQLite file; move it away or use another data folder"),
    ("SQLITE_IOERR", "the disk reported an error; check its space and health"),
)


def _neighbours(group: list[_Request]) -> list[tuple[Together, list[_Request]]]:
    """The group in order, requests with equal ``together`` in a row joined."""
    joined: list[tuple[Together, list[_Request]]] = []
    for request in group:
        if joined and joined[-1][0] == request.together:
            joined[-1][1].append(request)
        else:
            joined.append((request.together, [request]))
    return joined


def _one_by_one(connection: sqlite3.Connection, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    outcomes: list[Any] = []
    for work in works:
        connection.execute("SAVEPOINT one")
        try:
            outcomes.append(work(connection))
        except Exception as error:
            if not connection.in_transaction:  # SQLite gave up the whole transaction, e.g. on a full disk
                raise
            connection.execute("ROLLBACK TO one")
            outcomes.append(error)
        connection.execute("RELEASE one")
    return outcomes
