"""Logins at servers, kept for the next command: a file each, which nobody else may read."""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from option_baskets.domain.errors import Invalid, Unavailable

_FOLDER = Path("option-baskets") / "logins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a server gave for a password."""

    server: str
    email: str
    access_token: str = field(repr=False)
    expires_at: datetime
    """Of the access token, by the server's clock."""
    refresh_token: str = field(repr=False)
    """Good once."""


def server_of(text: str) -> str:
    """The address of a server as it is asked and as its login is kept.

    Raises:
        Invalid: it is none.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Invalid(f"{text!r} is no address of a server; give one like http://127.0.0.1:8000", where="--server")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """The logins of a user of this machine."""

    folder: Path

    @classmethod
    def usual(cls) -> "Logins":
        """Below XDG_CONFIG_HOME, by default ~/.config."""
        configured = os.environ.get("XDG_CONFIG_HOME", "")
        above = Path(configured) if configured else Path.home() / ".config"
        return cls(folder=above / _FOLDER)

    def get(self, server: str) -> Login | None:
        """The login at a server, if one is kept.

        Raises:
            Unavailable: others can read it, or it cannot be read.
        """
        path = self._file(server)
        try:
            with path.open("rb") as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise Unavailable(f"others can read {path}: chmod 600 it, and log in anew if somebody may have")
                found = json.load(file)
            return Login(**found | {"expires_at": datetime.fromisoformat(found["expires_at"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            raise Unavailable(f"{path} cannot be read; delete it and log in anew") from None

    def keep(self, login: Login) -> None:
        """Keep a login in the place of the one before, whole or not at all.

        Raises:
            Unavailable: it cannot be written.
        """
        path = self._file(login.server)
        part = path.with_suffix(".part")
        text = json.dumps(asdict(login) | {"expires_at": login.expires_at.isoformat()})
        try:
            self._make_folder()
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise Unavailable(f"the login cannot be kept in {path}: {error.strerror}") from error

    def forget(self, server: str) -> bool:
        """Whether there was one."""
        path = self._file(server)
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    @contextlib.contextmanager
    def alone(self, server: str) -> Iterator[None]:
        """Be the one command that renews this login: a refresh token sent twice ends it.

        Raises:
            Unavailable: the folder cannot be written.
        """
        try:
            self._make_folder()
            lock = self._file(server).with_suffix(".lock").open("ab")
        except OSError as error:
            raise Unavailable(f"{self.folder} cannot be written: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, server: str) -> Path:
        return self.folder / f"{quote(server, safe='')}.json"

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
