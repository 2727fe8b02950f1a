"""What a replay with ``--state`` keeps: the books as they were after every finished session.

A replay that is cut off goes on with the session it was in, from that session's beginning. Nothing outside saw any of
it, so playing it anew gives what an uninterrupted replay gives, byte for byte. (``baskets run`` goes on in the middle.)
"""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from option_baskets.domain.errors import Invalid, Unavailable
from option_baskets.domain.session import Session
from option_baskets.wiring import PAPER_FILE, TRADING_FILE

_MARK = "replay.json"
_FINISHED = "finished"
_PART = "finished.part"
_WHOLE = "finished.whole"
_BOOKS = (TRADING_FILE, PAPER_FILE)


@dataclass(frozen=True, slots=True)
class ReplayState:
    """A folder that belongs to one replay."""

    folder: Path

    @classmethod
    @contextmanager
    def held(cls, folder: Path, inputs: str) -> Iterator["ReplayState"]:
        """The folder, with the books of the last finished session in it, while nobody else uses it.

        Raises:
            Invalid: the folder is another replay's, has other files, or cannot be written.
            Unavailable: another process is replaying there.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / _MARK).open("a+", encoding="utf-8") as mark:
                try:
                    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Unavailable(f"another process is replaying in {folder}; wait for it or stop it") from None
                mark.seek(0)
                _claim(folder, mark.read(), inputs)
                state = cls(folder)
                state._restore()
                yield state
        except OSError as error:
            raise Invalid(f"cannot use {folder}: {error.strerror}", where="--state") from error

    def keep(self, _: Session) -> None:
        """Make the books as they are now those to go on with. Whole or not at all."""
        part = self.folder / _PART
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name in _BOOKS:
            with closing(sqlite3.connect(self.folder / name)) as books:
                books.execute("VACUUM INTO ?", (str(part / name),))
            with (part / name).open("rb") as copy:
                os.fsync(copy.fileno())
        part.rename(self.folder / _WHOLE)
        self._settle()

    def _settle(self) -> None:
        """Let what was kept last take the place of what was kept before."""
        whole, finished = self.folder / _WHOLE, self.folder / _FINISHED
        if whole.is_dir():
            shutil.rmtree(finished, ignore_errors=True)
            whole.rename(finished)

    def _restore(self) -> None:
        self._settle()
        finished = self.folder / _FINISHED
        for name in _BOOKS:
            for left in self.folder.glob(f"{name}*"):
                left.unlink()
            if finished.is_dir():
                shutil.copyfile(finished / name, self.folder / name)


def _claim(folder: Path, mark: str, inputs: str) -> None:
    path = folder / _MARK
    if not mark:
        if any(each != path for each in folder.iterdir()):
            path.unlink()
            raise Invalid(f"{folder} has other files; give an empty or new folder", where="--state")
        path.write_text(json.dumps({"inputs": inputs}), encoding="utf-8")
        return
    try:
        known = json.loads(mark).get("inputs")
    except (ValueError, AttributeError):
        known = None
    if known != inputs:
        raise Invalid(
            f"{folder} holds a replay of other baskets, days or options; give another folder, or delete that one",
            where="--state",
        )
