"""One strategy over days that follow each other, minute by minute, as the rules page says it.

Slow, and meant to be read beside that page. A strategy is the table of its TOML file, with decimals for numbers.
Nothing of the engine is used.
"""

from decimal import Decimal
from typing import Any

from tests.reference.holding import exit_of, is_due
from tests.reference.limits import Limits
from tests.reference.positions import Position
from tests.reference.recording import Instrument, Recording, date_of
from tests.reference.run import Outcome, Run
from tests.reference.strikes import Skip

Table = dict[str, Any]


def play(strategy: Table, days: list[Recording]) -> list[Outcome]:
    """Every run of the strategy in these days, which follow each other."""
    return _Play(strategy, days).through()


class _Play:
    """The runs of a strategy, those of yesterday beside those of today."""

    def __init__(self, strategy: Table, days: list[Recording]) -> None:
        self.strategy, self.days = strategy, days
        self.outcomes: list[Outcome] = []
        self.runs: list[Run] = []
        self.limits = Limits(strategy)
        self.prices = LastPrices(days)

    def through(self) -> list[Outcome]:
        for day in self.days:
            entry, due = day.at(self.strategy["entry"]), is_due(self.strategy, day)
            self.limits.begin()
            self.is_counted = False
            for at in range(day.open, day.close):
                self._keep_limits(day, at)
                for run in list(self.runs):
                    run.evaluate(day, at)
                    if run.may_come_again(at):
                        self._enter(day, at, run)
                if due and at == entry:
                    self._enter(day, at)
                self._let_go()
                if not self.runs and at >= entry and not self.limits.of_losses:
                    break
            for run in self.runs:
                run.settle(day)
            self._let_go()
            self.limits.end(day, self._positions(), self.prices.last)
        for run in self.runs:
            run.outcome.waits = not run.held()
        return self.outcomes

    def _positions(self) -> list[Position]:
        return [position for outcome in self.outcomes for position in outcome.positions]

    def _keep_limits(self, day: Recording, at: int) -> None:
        if not self.runs and self.is_counted:  # nothing is held and the last exit has been seen: nothing can change
            return
        self.is_counted = not self.runs
        for account, reason in self.limits.reached(day, at, self._positions(), self.prices.last):
            for run in self.runs:
                run.leave(account, day, at, reason)

    def refuses(self, account: str, entering: list[Position], day: Recording, at: int) -> str | None:
        return self.limits.refuses(account, entering, day, at, self._positions(), self.prices.last)

    def _let_go(self) -> None:
        """Of the runs that are over."""
        for run in self.runs:
            if not run.is_alive and not run.positions:
                run.outcome.skipped = run.refused or "not_triggered"
        self.runs = [run for run in self.runs if run.is_alive]

    def _enter(self, day: Recording, at: int, before: "Run | None" = None) -> None:
        """A run, or the next cycle of one."""
        outcome = Outcome(day.date) if before is None else Outcome(before.outcome.day, before.outcome.cycle + 1)
        if before is not None:
            outcome.came = f"cycle after {before.last_cause.removeprefix('on_')}"
        self.outcomes.append(outcome)
        try:
            run = Run(
                self.strategy,
                day,
                at,
                outcome,
                exit_at=exit_of(self.strategy, day) if before is None else before.exit_at,
                restarts=dict(self.strategy.get("restart", {}) if before is None else before.restarts),
                last=self.prices.last,
                refuses=self.refuses,
            )
            self.runs.append(run)
        except Skip as skip:
            outcome.skipped = str(skip)


class LastPrices:
    """The last price of a contract, of an earlier day where today has none."""

    def __init__(self, days: list[Recording]) -> None:
        self.days = days

    def last(self, instrument: Instrument, at: int) -> Decimal:
        today = date_of(at)
        for day in reversed(self.days):
            if day.date <= today and (known := day.of(instrument).known(at)) is not None:
                return known.price
        raise AssertionError(f"{instrument} was entered and never had a price")
