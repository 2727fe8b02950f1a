"""Who follows what is committed, as it becomes durable."""

import logging
from collections.abc import Callable, Sequence

from option_baskets.ports import Write

LOG = logging.getLogger(__name__)

Follower = Callable[[Sequence[Write]], None]
"""Told of one commit. It must return at once: commits wait for it."""


def nobody(_: Sequence[Write]) -> None:
    """The follower where none is wanted."""


class Changes:
    """Tells of every commit once, when it is on disk, in the order of the commits, on the event loop.

    Whether the one who committed still waits for it makes no difference. A follower that fails is logged and fails no
    commit. After the store could not be written for a while, what was kept aside meanwhile is told a second time, when
    it is merged; its keys and versions are the same.
    """

    def __init__(self) -> None:
        self._followers: list[Follower] = []

    def follow(self, follower: Follower) -> None:
        self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        self._followers.remove(follower)

    def tell(self, writes: Sequence[Write]) -> None:
        for follower in self._followers:
            try:
                follower(writes)
            except Exception:
                LOG.exception("a follower of the table's changes failed")
