"""``baskets explain``: what a file's strategies do on a recorded day, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from option_baskets.adapters.basket_file import BasketFile
    from option_baskets.cli.replaying import Replay
    from option_baskets.domain.allocation import Allocation
    from option_baskets.domain.basket import Strategy
    from option_baskets.domain.dynamic import DynamicUnits
    from option_baskets.domain.market import Snapshot
    from option_baskets.domain.run import Run
    from option_baskets.engine.explain import Explanation, RuleOf

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("explain")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", "directory", type=_FOLDER, required=True, help="Folder of recorded days.")
@click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), required=True, help="The recorded day.")
@click.option(
    "--since",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="Play the recorded days from this one on first: their closed runs count for units by a policy.",
)
@click.option("--strategy", "name", metavar="NAME", help="Only this one.")
@click.option("--stale", type=click.IntRange(min=1), help="Seconds after which a price may not decide an entry.")
@click.option("--facts", type=_FOLDER, help="Later revisions of the market facts.")
def command(
    file: Path,
    directory: Path,
    day: datetime,
    since: datetime | None,
    name: str | None,
    stale: int | None,
    facts: Path | None,
) -> None:
    """Say in words what the strategies of a basket file do on a recorded day, and why.

    Whether each is due, the price its strikes are measured from, the chosen strikes and those that came next, lots and
    orders by account, the level of every rule, and when each rule would have fired if it had been the only one. The
    day is replayed with the engine that trades it, without slippage. docs/explain.md has an example.

    \b
    Examples:
      baskets explain examples/straddle-0920.toml --data data/nifty-2022 --date 2022-06-10
      baskets explain examples/conservative-income.toml --data data/days --date 2026-11-24 --strategy "Iron condor"
      baskets explain my-shared.toml --data data/days --date 2026-11-24 --since 2026-10-01
    """
    from rich.console import Console

    from option_baskets.cli.explain_view import show_explanation
    from option_baskets.cli.replaying import Replay
    from option_baskets.domain.errors import Invalid

    replay = Replay.prepare(
        directory,
        [file],
        first=(since or day).date(),
        last=day.date(),
        slippage=Decimal(0),
        stale=stale,
        with_charges=False,
        facts=facts,
    )
    if replay.sessions[-1].date != day.date():
        raise Invalid(f"nothing is recorded for {day.date()}", where="--date")
    console = Console(highlight=False)
    for explanation in explanations(replay, name):
        show_explanation(console, explanation)


def explanations(replay: "Replay", name: str | None) -> "Iterator[Explanation]":
    """Of the chosen strategies of the replay's one file, on its one day, in file order.

    Raises:
        Invalid: it has no strategy of that name.
    """
    from option_baskets.cli.payoff_command import wanted
    from option_baskets.domain.frozen_spot import readable
    from option_baskets.domain.session import with_halts
    from option_baskets.engine.explain import explain, held_until
    from option_baskets.engine.explain_waits import chosen_at
    from option_baskets.engine.valuation import Valuation

    (found,), (*_, session) = replay.baskets, replay.sessions
    chosen = wanted(found, name)
    dynamic = _dynamic(replay)
    found = _fixed(found, dynamic)
    market = replay.feed.market(session.date)
    opening = market.snapshot(session.open)
    last = max(held_until(strategy, session, replay.facts, opening) for strategy in chosen)
    nights = [day for day in replay.feed.sessions() if session.date < day <= last]
    sessions = (session, *(with_halts(replay.facts, replay.feed.session(day)) for day in nights))
    runs = _replayed(replace(replay, sessions=sessions), found, chosen)

    def look(at: datetime) -> "Snapshot":
        return readable(market.snapshot, at, replay.facts)

    for strategy in chosen:
        own = runs.get((strategy.id, None), [])
        run = own[0] if own else None
        entry = datetime.combine(session.date, strategy.schedule.entry, session.open.tzinfo)
        at = chosen_at(strategy, run, entry)
        alone = {rule: run for (strategy_id, rule), (run, *_) in runs.items() if strategy_id == strategy.id and rule}
        yield explain(
            strategy,
            found.of(strategy),
            Valuation(facts=replay.facts, snapshot=look(at), session=session),
            paused=strategy.paused or found.basket.paused,
            capital=found.basket.capital,
            runs=own,
            dynamic=dynamic.get(strategy.id),
            alone=alone,
            look=look,
        )


def _replayed(
    replay: "Replay", found: "BasketFile", chosen: "Sequence[Strategy]"
) -> "dict[tuple[str, RuleOf | None], list[Run]]":
    """The runs of each strategy by cycle, and its run with one rule alone, from one replay. Nothing for what was not
    due. A rule stands alone without limits too; those of accounts would add up what no day adds up."""
    from option_baskets.domain.allocation import AllocationLimits
    from option_baskets.engine.explain import only, rules_of

    files: list[BasketFile] = []
    which: dict[str, tuple[str, RuleOf | None]] = {}
    for strategy in chosen:
        for rule in (None, *rules_of(strategy)):
            basket = replace(found.basket, id=f"{found.basket.id}.{len(files)}")
            if rule is not None:
                basket = replace(basket, max_daily_loss=None, max_drawdown_percent=None)
            lone = strategy if rule is None else only(strategy, rule)
            copy = replace(lone, id=f"{strategy.id}.{len(files)}", basket_id=basket.id)
            allocations = tuple(
                replace(each, id=f"{copy.id}.{each.account}", strategy_id=copy.id) for each in found.of(strategy)
            )
            if rule is not None:
                allocations = tuple(replace(each, limits=AllocationLimits()) for each in allocations)
            accounts = tuple(replace(each, max_daily_loss=None) for each in found.accounts)
            file = replace(found, basket=basket, accounts=accounts, strategies=(copy,), allocations=allocations)
            files.append(file)
            which[copy.id] = (strategy.id, rule)
    first = replay.sessions[0].date
    newest: dict[str, Run] = {}  # as each stood on the last of the days
    for record in replace(replay, baskets=tuple(files)).run(None):
        newest |= {each.run.id: each.run for each in record.runs if each.run.date == first}
    runs: dict[tuple[str, RuleOf | None], list[Run]] = {}
    for run in newest.values():
        runs.setdefault(which[run.strategy.id], []).append(run)
    return runs


def _dynamic(replay: "Replay") -> "dict[str, DynamicUnits]":
    """What policies gave each strategy on the last day, after the days before were played."""
    from option_baskets.domain.dynamic import DynamicUnits

    (found,) = replay.baskets
    if not found.basket.dynamic:
        return {}
    *_, day = replay.run(None)
    return {
        share.strategy_id: DynamicUnits(policy=record.policy.id, units=share.units, why=share.why)
        for record in day.units
        for share in record.shares
    }


def _fixed(found: "BasketFile", dynamic: "dict[str, DynamicUnits]") -> "BasketFile":
    """The file with the units of the day where it names a policy."""
    from option_baskets.domain.allocation import units_by_allocation

    by_id = {strategy.id: strategy for strategy in found.strategies}

    def fixed(each: "Allocation") -> "Allocation":
        if each.dynamic is None:
            return each
        strategy = by_id[each.strategy_id]
        units = units_by_allocation(strategy, found.of(strategy), dynamic[strategy.id].units)[each.id].whole
        return replace(each, dynamic=None, units=units)

    basket = replace(found.basket, dynamic=())
    return replace(found, basket=basket, allocations=tuple(fixed(each) for each in found.allocations))
