"""A progress bar that follows market time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.day import Watch


@contextmanager
def ticking(console: Console, total: int) -> Iterator[Watch]:
    """Give a callback that is told every tick; the bar disappears at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=total)

        def tick(at: datetime, _: Sequence[Run]) -> None:
            progress.update(task, advance=1, description=f"{at.astimezone(IST):%d %b %H:%M}")

        yield tick
