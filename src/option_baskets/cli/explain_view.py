"""An explanation in words."""

from collections.abc import Iterator
from datetime import date, datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from option_baskets.cli.entry_wording import again_in_words
from option_baskets.cli.exit_wording import rupees_in_words, strategy_in_words
from option_baskets.cli.limit_wording import allocation_limits_in_words
from option_baskets.cli.wording import strike_in_words, units_in_words
from option_baskets.domain.basket import Reference, Weekday
from option_baskets.domain.contract import Contract
from option_baskets.domain.money import rupees
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.explain import Candidate, Choice, Due, Explanation, Level, Part
from option_baskets.engine.explain_limits import Measure, Size
from option_baskets.engine.explain_waits import never_again


def show_explanation(console: Console, told: Explanation) -> None:
    """Print it; every figure is of the day itself."""
    strategy = told.strategy
    console.print(f"\n[bold]{escape(strategy.name)}[/] on {told.due.session.date:%A %d %B %Y}")
    for line in _due(told.due, strategy.schedule.days, strategy.schedule.dte):
        _say(console, line)
    for line in _prices(told):
        _say(console, line)
    if told.refusal is not None:
        _say(console, f"No strikes, and so no order: {told.refusal} ({told.refusal.reason}).")
        if told.run is not None and told.run.reason is not told.refusal.reason:
            for line in _outcome(told.run):
                _say(console, line)
        return
    if not told.due.is_due:
        _say(console, "On a day that suits, the same prices would give:")
    for table in (_choices(told.choices), _parts(told.parts)):
        console.print()
        console.print(table)
    if told.sizes:
        console.print()
        console.print(_sizes(told.sizes))
    console.print()
    for line in (*_units(told), *told.notes, *_waits(told)):
        _say(console, line)
    if told.run is not None:
        _show_run(console, told, told.run)


def _show_run(console: Console, told: Explanation, run: Run) -> None:
    """When each rule fires, and what came of them all."""
    if told.levels:
        console.print(_levels(told.levels, told.due.times.exit, told.due.session.date))
        console.print()
    whole = strategy_in_words(told.strategy)
    limits = filter(None, map(allocation_limits_in_words, told.allocations))
    for line in (*filter(None, [whole]), *again_in_words(told.strategy), *limits):
        _say(console, line)
    for cycle in (run, *told.cycles):
        for line in _outcome(cycle):
            _say(console, line)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)


def _table(*left: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _due(due: Due, days: tuple[Weekday, ...], dte: tuple[int, ...]) -> Iterator[str]:
    session = due.session
    entry, exit_ = _time(due.times.entry), _moment(due.times.exit, session.date)
    yield f"{'Due' if due.is_due else 'Not due'}, entry {entry}, exit {exit_}:"
    if due.paused:
        yield "- it is paused, or its basket is"
    if session.is_special:
        yield f"- a {session.kind} session; such days are traded only with special_sessions = true"
    else:
        own = "every weekday" if days == tuple(Weekday) else " ".join(day.title() for day in days)
        verdict = "one of" if due.weekday_suits else "not one of"
        yield f"- {session.date:%A} is {verdict} its days ({own})"
    wanted = f"it wants {' or '.join(map(str, dte))}" if dte else "any will do"
    if due.expiry is None:
        yield f"- no expiry of its legs is listed; {wanted}"
    else:
        verdict = "" if due.dte_suits else ", so it does not trade"
        yield f"- {due.dte} trading days to its earliest expiry, {due.expiry:%d-%b-%Y}; {wanted}{verdict}"
    hours = ", ".join(f"{_time(window.open)} to {_time(window.close)}" for window in session.windows)
    yield f"- the session is {hours}; its entry is {'inside' if due.in_session else 'outside, so it is skipped'}"
    if not due.holding_suits:
        yield "- it is positional, and this is not its day of entry"
    if due.times.note:
        yield f"- {due.times.note}"
    if due.refusal is not None:
        yield f"- it is skipped: {due.refusal} ({due.refusal.reason})"


def _prices(told: Explanation) -> Iterator[str]:
    strategy, reference = told.strategy, told.reference
    at = _time(told.chosen_at)
    if reference is None:
        yield f"Reference: no {strategy.reference} price of {strategy.underlying} at {at}."
    else:
        note = f" ({reference.note})" if reference.note else ""
        yield f"Reference: {strategy.underlying} {strategy.reference} {reference.level:,.2f} as known at {at}{note}."
    if told.spot is not None and (reference is None or strategy.reference is not Reference.SPOT):
        yield f"The spot is {told.spot.last:,.2f}, confirmed at {told.spot.as_of.astimezone(IST):%H:%M:%S}."


def _choices(choices: tuple[Choice, ...]) -> Table:
    table = _table("Leg", "", "Rule", "Chosen", right=("Known price",))
    table.add_column("Runners-up")
    for choice in choices:
        quote = choice.chosen.quote
        table.add_row(
            choice.leg.id,
            f"{choice.leg.side:4}",
            strike_in_words(choice.leg.strike),
            _short(choice.chosen.contract) + _delta(choice.chosen),
            "-" if quote is None else f"{quote.last:,.2f}",
            ", ".join(map(_runner_up, choice.runners_up)) or "-",
        )
    return table


def _runner_up(candidate: Candidate) -> str:
    price = "no price" if candidate.quote is None else f"{candidate.quote.last:,.2f}"
    return f"{candidate.contract.strike:f} at {price}{_delta(candidate)}"


def _delta(candidate: Candidate) -> str:
    return "" if candidate.delta is None else f", delta {candidate.delta:.3f}"


def _units(told: Explanation) -> Iterator[str]:
    """How many, and why."""
    if told.dynamic is not None:
        yield f"By {told.dynamic.policy}: {told.dynamic.why}."
    yield from units_in_words(told.strategy, told.allocations)


def _parts(parts: tuple[Part, ...]) -> Table:
    table = _table("Account", "Leg", right=("Lots", "Quantity"))
    table.add_column("Orders")
    for part in parts:
        orders = "one" if len(part.slices) == 1 else " + ".join(map(str, part.slices))
        table.add_row(part.account, part.leg, str(part.lots), str(part.quantity), orders)
    return table


def _waits(told: Explanation) -> Iterator[str]:
    for each in told.waits:
        range_ = "" if each.low is None or each.high is None else f", which was {each.low:,.2f} to {each.high:,.2f}"
        end = f"there at {_time(each.due)}" if each.due is not None else f"not entered ({each.reason})"
        yield f"{f'Leg {each.leg}' if each.leg else 'The strategy'} {each.what}{range_}: {end}."


def _sizes(sizes: tuple[Size, ...]) -> Table:
    table = _table("Account", "Limit of", right=("Limit", "The entry's"))
    table.add_column("")
    for size in sizes:
        counted = size.measure in {Measure.TRADES, Measure.LOTS}
        taken, limit = (
            "unknown" if each is None else f"{each:f}" if counted else rupees_in_words(rupees(each))
            for each in (size.taken, size.limit)
        )
        table.add_row(size.account, size.measure, limit, taken, "" if size.passes else "refused")
    return table


def _levels(levels: tuple[Level, ...], exit_: datetime, day: date) -> Table:
    table = _table("Rule", "Account", right=("Level", "Profit there"))
    table.add_column("Alone, it")
    for level in levels:
        name = f"{level.of.rule} of leg {level.of.leg}" if level.of.leg else str(level.of.rule)
        fired = f"does not fire by {_moment(exit_, day)}"
        if level.fired is not None:
            fired = f"fires at {_moment(level.fired, day)}"
            fired += f", out at {rupees(level.fill):,}" if level.fill is not None else ""
        price = "-" if level.price is None else f"{level.price:,.2f}"
        profit = "-" if level.profit is None else rupees_in_words(rupees(level.profit))
        table.add_row(name, level.account or "all", price, profit, fired)
    return table


def _outcome(run: Run) -> Iterator[str]:
    """What came of it with all rules together."""
    if run.cycle:
        yield f"The whole strategy again at {_time(run.entry_at)}, cycle {run.cycle}:"
    if run.reason is not None:
        yield f"{run.status.capitalize()}: {run.detail} ({run.reason})."
    for leg in run.positions:
        if leg.entry_price is None or leg.entry_time is None:
            continue
        again = " again" * bool(leg.entry_number)
        entry = f"{leg.account}: {leg.side} {leg.entered} of leg {leg.leg}{again} at "
        entry += f"{rupees(leg.entry_price):,} at {_time(leg.entry_time)}"
        if leg.exit_price is not None and leg.exit_time is not None:
            why = f"{leg.exit_reason}, {rupees_in_words(rupees(leg.gross))} before charges"
            entry += f"; out at {rupees(leg.exit_price):,} at {_moment(leg.exit_time, run.date)} ({why})"
        yield entry
    for pending in never_again(run):
        assert pending.trigger is not None
        since = _moment(pending.trigger.since, run.date)
        told = f"{pending.account}: leg {pending.leg} again, {pending.detail}"
        yield f"{told}: waited for from {since}, and it never came"
    for short in run.shortfalls:
        if run.reason is short.reason and not run.positions:
            continue  # the waits have said it
        yield f"{short.account}: {short.quantity} units of leg {short.leg} not traded: {short.detail} ({short.reason})"


def _short(contract: Contract) -> str:
    strike = f" {contract.strike:f}" if contract.strike is not None else ""
    return f"{contract.expiry:%d-%b}{strike} {contract.type}"


def _moment(at: datetime, day: date) -> str:
    """The time, with its date where that is another day."""
    local = at.astimezone(IST)
    return f"{local:%H:%M}" if local.date() == day else f"{local:%H:%M on %d-%b-%Y}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M}"
