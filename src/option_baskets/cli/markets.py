"""The market of ``--market``: simulated or recorded, open when each day's own session is."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from option_baskets.adapters.brokers.fills import QuotedFills, RecordedFills
from option_baskets.adapters.feeds.simulated import Scenario, SimulatedFeed, refuse_unless_sound
from option_baskets.domain.contract import Contract
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.facts import Facts
from option_baskets.domain.session import IST, Session, contract_close, session_on, with_halts
from option_baskets.wiring import Market

if TYPE_CHECKING:  # reading recorded days takes a library that is slow to load
    from option_baskets.adapters.feeds.recorded import RecordedFeed

SIMULATED = ("BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTY", "SENSEX")
"""What a market is simulated of whose users are not known yet."""

SessionAt = Callable[[datetime], Session | None]


def recorded_folder(market: str) -> Path | None:
    """The folder of ``recorded:DIR``; None: the market is simulated.

    Raises:
        Invalid: it is neither, or there is no such folder.
    """
    kind, _, folder = market.partition(":")
    if kind not in {"simulated", "recorded"} or (kind == "recorded") != bool(folder):
        raise Invalid(f"{market!r} is neither simulated nor recorded:DIR", where="--market")
    if folder and not Path(folder).is_dir():
        raise Invalid(
            f"there is no folder {folder}; make one with baskets import or baskets simulate", where="--market"
        )
    return Path(folder) if folder else None


def market_of(
    facts: Facts, recorded: "RecordedFeed | None", *, seed: int, underlyings: Sequence[str], session_at: SessionAt
) -> Market:
    """The recorded market, or a simulated one of these underlyings; it trades in the session of each instant."""
    if recorded is not None:
        return Market(
            feed=recorded,
            fills=RecordedFills(recorded),
            is_trading=lambda _, at: (session := session_at(at)) is not None and session.is_open(at),
        )

    def is_trading(contract: Contract, at: datetime) -> bool:
        session = session_at(at)
        return session is not None and session.is_open(at) and at < contract_close(facts, session, contract.expiry)

    feed = SimulatedFeed(facts, seed=seed, underlyings=underlyings)
    return Market(feed=feed, fills=QuotedFills(depth=feed), is_trading=is_trading)


def sessions_by_day(facts: Facts, recorded: "RecordedFeed | None") -> SessionAt:
    """The session of the day of an instant; None where that day has none, or is not recorded."""

    def session_at(at: datetime) -> Session | None:
        day = at.astimezone(IST).date()
        if recorded is None:
            return session_on(facts, day)
        try:
            return with_halts(facts, recorded.session(day))
        except NotFound:
            return None

    return session_at


def sessions_from(facts: Facts, recorded: "RecordedFeed | None", first: date) -> Iterator[Session]:
    """Every session there is from a day on: of the calendar as long as it can be simulated, or all recorded ones."""
    if recorded is not None:
        yield from (with_halts(facts, recorded.session(day)) for day in recorded.sessions() if day >= first)
        return
    day = first
    while True:
        session = session_on(facts, day)
        if session is not None:
            try:
                refuse_unless_sound(facts, day, SIMULATED, Scenario())
            except Invalid:
                return
            yield session
        day += timedelta(days=1)
