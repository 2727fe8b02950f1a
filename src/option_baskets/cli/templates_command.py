"""``baskets templates``: the strategies that come with the package."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from option_baskets.domain.basket import Strategy


@click.command
@click.argument("word", required=False)
def command(word: str | None) -> None:
    """List the strategies that come with the package: name, legs, and when each is used.

    With WORD only those that have it in their name or in that sentence. `baskets new` makes a basket file of one.

    \b
    Examples:
      baskets templates
      baskets templates calendar
      baskets templates "should rise"
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from option_baskets.adapters.templates import templates

    wanted = (word or "").lower()
    found = [each for each in templates() if wanted in each.name or wanted in each.when.lower()]
    if not found:
        raise click.ClickException(f"no template has {word!r}; `baskets templates` lists all {len(templates())}")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Template", no_wrap=True)
    table.add_column("Legs", ratio=2)
    table.add_column("When it is used", ratio=3)
    for each in found:
        table.add_row(each.name, _legs(each.strategy), each.when)
    Console(highlight=False).print(table)


def _legs(strategy: "Strategy") -> str:
    from option_baskets.cli.wording import expiry_in_words, strike_in_words

    words = []
    for leg in strategy.legs:
        ratio = f"{leg.ratio} x " if leg.ratio > 1 else ""
        strike = f" {strike_in_words(leg.strike)}" if leg.strike is not None else ""
        expiry = f", {expiry_in_words(leg.expiry)}" if leg.expiry is not None else ""
        words.append(f"{leg.side} {ratio}{leg.type}{strike}{expiry}")
    return "\n".join(words)
