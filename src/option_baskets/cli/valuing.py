"""What the commands that value a recorded instant have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from option_baskets.adapters.feeds.recorded import RecordedFeed
    from option_baskets.domain.facts import Facts
    from option_baskets.engine.valuation import Valuation

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
PICTURE = click.Path(dir_okay=False, path_type=Path)
_Function = TypeVar("_Function", bound=Callable[..., object])


def clock_time(_: click.Context, __: click.Parameter, value: str | None) -> time | None:
    """A callback: HH:MM or HH:MM:SS."""
    try:
        moment = time.fromisoformat(value) if value else None
    except ValueError:
        moment = None
    if value and (moment is None or moment.tzinfo or moment.microsecond or ":" not in value):
        raise click.BadParameter(f"{value!r} is not a time of the day; write it as 09:20 or 09:20:30")
    return moment


def finite(_: click.Context, __: click.Parameter, value: float) -> float:
    """A callback: click takes nan and inf for numbers."""
    if not isfinite(value):
        raise click.BadParameter(f"{value} is not a number to reckon with")
    return value


def instant_options(function: _Function) -> _Function:
    """The options that say which instant is meant, and how it is valued."""
    options = (
        click.option("--date", "day", type=click.DateTime(formats=["%Y-%m-%d"]), help="Default: the last recorded."),
        click.option("--at", callback=clock_time, metavar="HH:MM[:SS]", help="Exchange time."),
        click.option(
            "--rate", type=float, callback=finite, default=0.0, metavar="PERCENT", help="Interest a year.  [default: 0]"
        ),
        click.option("--facts", type=FOLDER, help="Later revisions of the market facts."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDay:
    """One recorded day, to be valued at any of its instants."""

    feed: "RecordedFeed"
    date: date
    facts: "Facts"
    rate: float

    @classmethod
    def opened(cls, directory: Path, day: datetime | None, *, rate: float, facts: Path | None) -> "RecordedDay":
        """Raises NotFound: nothing is recorded, or not that day."""
        from option_baskets.adapters.facts import load
        from option_baskets.adapters.feeds.recorded import RecordedFeed
        from option_baskets.domain.errors import NotFound

        feed = RecordedFeed(directory)
        recorded = feed.sessions()
        if not recorded:
            raise NotFound(f"{directory} has no recorded session; make some with baskets import or baskets simulate")
        chosen = day.date() if day else recorded[-1]
        feed.market(chosen)
        return cls(feed=feed, date=chosen, facts=load(facts), rate=rate / 100)

    def valued(self, at: time | None) -> "Valuation":
        """Valued at a time of the day; None: at its close.

        Raises:
            Invalid: the time lies outside the session.
        """
        from option_baskets.domain.errors import Invalid
        from option_baskets.domain.session import IST
        from option_baskets.engine.valuation import Valuation

        market = self.feed.market(self.date)
        session = market.recorded.session
        instant = datetime.combine(self.date, at, IST) if at else session.close
        if not session.open <= instant <= session.close:
            opens, closes = (f"{each.astimezone(IST):%H:%M}" for each in (session.open, session.close))
            raise Invalid(
                f"{instant:%H:%M:%S} is outside the session of {self.date}, {opens} to {closes}", where="--at"
            )
        return Valuation(
            facts=self.facts,
            snapshot=market.snapshot(instant),
            session=session,
            rate=self.rate,
            open_interest=market.open_interest(instant),
        )


def chosen_underlying(valuation: "Valuation", wanted: str | None) -> str:
    """The underlying asked for, or the first with options.

    Raises:
        NotFound: it has no options that day; the message says which have.
    """
    from option_baskets.domain.errors import NotFound

    listed = sorted({contract.underlying for contract in valuation.snapshot.contracts() if contract.strike is not None})
    if not listed:
        raise NotFound(f"no options are listed on {valuation.snapshot.at:%Y-%m-%d}")
    if wanted is None:
        return "NIFTY" if "NIFTY" in listed else listed[0]
    if wanted.upper() not in listed:
        raise NotFound(f"no options of {wanted} are recorded that day; there are options of {', '.join(listed)}")
    return wanted.upper()


def chosen_expiry(valuation: "Valuation", underlying: str, wanted: str | None) -> date:
    """An expiry by date, or by number from the nearest (0).

    Raises:
        Invalid: there is none such; the message lists them.
    """
    from option_baskets.domain.errors import Invalid

    expiries = valuation.expiries(underlying)
    listed = ", ".join(f"{number}: {expiry}" for number, expiry in enumerate(expiries)) or "none"
    text = wanted or "0"
    if text.isdecimal() and int(text) < len(expiries):
        return expiries[int(text)]
    found = next((expiry for expiry in expiries if expiry.isoformat() == text), None)
    if found is None:
        raise Invalid(f"{underlying} has no expiry {text!r}; those with options are {listed}", where="--expiry")
    return found
