"""Whether the tables can be written. One object a process, told by the store and asked by the engine."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """While ``cause`` says why not, nothing is entered and what is open goes on over the second path."""

    cause: str = ""
    halted: str = ""
    """Why nothing can be kept anywhere and nothing is sent any more; empty: something can."""
    tell: Callable[["Health"], None] = lambda _: None
    """Called whenever it changes."""

    @property
    def is_writable(self) -> bool:
        return not self.cause

    def fail(self, cause: str) -> None:
        if self.is_writable:
            self.cause = cause
            self.tell(self)

    def halt(self, cause: str) -> None:
        self.halted = cause
        self.tell(self)

    def recover(self) -> None:
        if not self.is_writable:
            self.cause = ""
            self.tell(self)
