"""Options that the commands of the kill switch share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Command = Callable[..., Any]

data_folder = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OPTION_BASKETS_DATA",
    default=Path("data"),
    show_default=True,
    help="Where the books are kept (or OPTION_BASKETS_DATA).",
)


def scope(command: _Command) -> _Command:
    """--account, --basket, --strategy and --all, of which one is given."""
    options = (
        click.option("--account", metavar="NAME", help="All that is traded on this account."),
        click.option("--basket", metavar="NAME", help="All strategies of this basket; its name or id."),
        click.option("--strategy", metavar="NAME", help="This strategy on all its accounts; its name or id."),
        click.option("--all", "everything", is_flag=True, help="Everything."),
    )
    for option in reversed(options):
        command = option(command)
    return command
