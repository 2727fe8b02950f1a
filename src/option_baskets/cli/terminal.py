"""Where the commands print: a terminal as wide as it is, a file or a pipe wide enough for the widest table."""

import logging

from rich.console import Console
from rich.logging import RichHandler

_WIDE = 116


def terminal() -> Console:
    """The console of standard output."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _WIDE))


def tell_of_alerts(console: Console, *, quiet: bool) -> None:
    """Show what the package logs as it happens; ``quiet`` where the day's record shows it anyway."""
    log = logging.getLogger("option_baskets")
    log.handlers = [logging.NullHandler() if quiet else RichHandler(console=console, show_path=False, show_time=False)]
    log.propagate = False
