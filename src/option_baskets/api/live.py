"""The live stream as routes see it; who tells it, and from where, they do not know."""

from typing import Protocol

from option_baskets.engine.live_messages import Ending


class Subscription(Protocol):
    """What one client is told."""

    @property
    def ending(self) -> Ending | None:
        """Why there is nothing more; None while there is."""
        ...

    async def next(self) -> str | None:
        """The next frame, one message a line, as soon as there is one. None: it has ended. It may be cancelled."""
        ...

    def end(self, ending: Ending) -> None:
        """Nothing more is told, for this reason."""
        ...

    def close(self) -> None:
        """The client is gone."""
        ...


class Live(Protocol):
    async def subscribe(self, user_id: str, after: tuple[str, int] | None = None) -> Subscription:
        """Listen for a user, from a place (epoch, seq) on, or from now on with a snapshot.

        Raises:
            TooMany: the user has too many connections.
            Unavailable: the store cannot be read.
        """
        ...
