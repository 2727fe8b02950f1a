"""``baskets check``: what basket files mean, or what to mend."""

from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from option_baskets.adapters.basket_file import BasketFile, load_basket_file
from option_baskets.adapters.facts import load
from option_baskets.cli.dynamic_wording import policies_in_words, units_to_begin_with
from option_baskets.cli.entry_wording import again_in_words, leg_wait_in_words, strategy_wait_in_words
from option_baskets.cli.exit_wording import distance_in_words, leg_in_words, rupees_in_words, strategy_in_words
from option_baskets.cli.holding_wording import held_in_words, span_in_words
from option_baskets.cli.limit_wording import (
    account_limits_in_words,
    allocation_limits_in_words,
    basket_limits_in_words,
)
from option_baskets.cli.wording import expiry_in_words, strike_in_words, units_in_words
from option_baskets.domain.allocation import Allocation, lots_by_leg
from option_baskets.domain.basket import OnBlind, OnFailure, Reference, Strategy, Weekday
from option_baskets.domain.due import latest_mis_exits
from option_baskets.domain.errors import Invalid


@click.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--facts",
    "facts_dir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with later revisions of the market facts.",
)
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], facts_dir: Path | None) -> None:
    """Check basket files and say what to mend.

    Prints what each file means and ends with 0, or everything that is wrong, with file and line, and ends with 1.

    \b
    Examples:
      baskets check examples/conservative-income.toml
      baskets check examples/*.toml
      baskets check --facts my-facts my-basket.toml
    """
    console = Console(highlight=False)
    facts = load(facts_dir)
    latest_mis = latest_mis_exits(facts)
    wrong = 0
    for path in files:
        try:
            found = load_basket_file(path, facts.names, latest_mis)
        except Invalid as error:
            wrong += len(error.problems)
            click.echo(str(error), err=True)
            continue
        _print_meaning(found, console)
        console.print(f"\n{escape(str(path))}: [green]ok[/]", soft_wrap=True)
    if wrong:
        click.echo(f"{wrong} problem{'s' if wrong > 1 else ''}", err=True)
        ctx.exit(1)


def _print_meaning(found: BasketFile, console: Console) -> None:
    basket = found.basket
    paused = ", paused" if basket.paused else ""
    console.print(f"[bold]{escape(basket.name)}[/], {basket.mode}, capital {rupees_in_words(basket.capital)}{paused}")
    limits = (*basket_limits_in_words(basket), *filter(None, map(account_limits_in_words, found.accounts)))
    for line in (*limits, *policies_in_words(found)):
        console.print(escape(line))
    for strategy in found.strategies:
        console.print(f"\n[bold]{escape(strategy.name)}[/]  {_schedule(strategy)}")
        console.print(_legs(strategy, found.of(strategy), units_to_begin_with(found, strategy)))
        for line in units_in_words(strategy, found.of(strategy)):
            console.print(escape(line))
        waits = (strategy_wait_in_words(strategy), *map(leg_wait_in_words, strategy.legs))
        outs = (*map(leg_in_words, strategy.legs), strategy_in_words(strategy))
        for told in (*waits, *outs, *again_in_words(strategy)):
            if told:
                console.print(escape(told))
        for line in filter(None, map(allocation_limits_in_words, found.of(strategy))):
            console.print(escape(line))


def _legs(strategy: Strategy, allocations: tuple[Allocation, ...], units: int | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Leg")
    table.add_column("", no_wrap=True)
    table.add_column("Expiry", no_wrap=True)
    table.add_column("Strike")
    for rule in ("Stop", "Target"):
        table.add_column(rule, justify="right", no_wrap=True)
    for allocation in allocations:
        table.add_column(f"Lots on\n{allocation.account}", justify="right")
    lots = [lots_by_leg(strategy, allocation, allocations, units) for allocation in allocations]
    for leg in strategy.legs:
        table.add_row(
            leg.id,
            f"{leg.side:4} {leg.type}",
            expiry_in_words(strategy.expiry_rule(leg)),
            strike_in_words(leg.strike),
            distance_in_words(leg.stop),
            distance_in_words(leg.target),
            *(str(of_account.get(leg.id, "-")) for of_account in lots),
        )
    return table


def _schedule(strategy: Strategy) -> str:
    when = strategy.schedule
    days = "every weekday" if when.days == tuple(Weekday) else " ".join(day.title() for day in when.days)
    words = [strategy.underlying, span_in_words(when), days]
    if when.dte:
        words.append(f"{' or '.join(map(str, when.dte))} days to expiry")
    words += [f"measured from the {strategy.reference}"] * (strategy.reference is not Reference.SPOT)
    words += ["what is filled is kept where a leg fails"] * (strategy.on_failure is OnFailure.KEEP)
    words += ["left where a sold leg has no prices"] * (strategy.on_blind is OnBlind.EXIT)
    words += held_in_words(strategy)
    words += ["naked"] * strategy.naked + ["special sessions too"] * strategy.special_sessions
    return ", ".join(words + ["paused"] * strategy.paused)
