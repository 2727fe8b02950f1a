"""What a month's cost is computed from: unit prices, what was counted, what the templates hold, and what is assumed."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from infra.environments import Environment

HERE = Path(__file__).parent
TEMPLATES = HERE.parents[1] / "out" / "infra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    usd: float
    source: str
    read: date
    quoted: bool
    """Whether it was found quoted for this region; otherwise it is unverified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    date: date
    by_name: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Of a month and a user; everything else is counted, measured or in the templates."""

    trading_days: int = 21
    days: float = 30.4
    strategies: int = 2
    """A user has, each an iron condor on one account that enters and leaves on the same day."""
    trading: float = 0.7
    """Part of the users with a run on a trading day."""
    minutes: int = 355
    """Held, 09:20 to 15:15."""
    woken: float = 1.0
    """Part of the minutes held in which a user's shift is woken: all, as it is built."""
    compared_apart: bool = True
    """Whether comparing has a wake-up of its own beside the stop check of the minute, as it is built; both are done by
    one shift."""
    get_seconds: float = 0.006
    commit_seconds: float = 0.012
    """Until DynamoDB has answered a request from a function; not measured here."""
    live_seconds: float = 0.03
    api_requests: int = 60
    """A user and trading day."""
    api_seconds: float = 0.06
    api_reads: int = 3
    """Read units a request."""
    api_writes: int = 20
    """Write units of a user's edits, a day."""
    connected: float = 0.3
    """Part of the users with a WebSocket open all session."""
    log_bytes: int = 1200
    """An invocation writes, with what Lambda says of it."""
    access_log_bytes: int = 400
    broker_bytes: int = 6000
    """Through the NAT gateways in a minute of a user with a live account: orders and positions compared."""
    live_accounts: float = 0.0
    """Part of the users who trade at a broker; paper trading leaves nothing."""
    traced: float = 0.05
    """X-Ray's default sampling, above one a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What of the templates is paid for by the month."""

    alarms: int
    dashboards: int
    keys: int
    nats: int
    addresses: int
    pool: str
    """Cognito's feature plan."""


def read_prices() -> Prices:
    document = tomllib.loads((HERE / "prices.toml").read_text(encoding="utf-8"))
    when = document.pop("date")
    return Prices(date=when, by_name={name: Price(**table) for name, table in document.items()})


def read_counts() -> dict[str, Any]:
    """What ``python -m benchmarks.shifts write`` wrote."""
    found: dict[str, Any] = json.loads((HERE / "counts.json").read_text(encoding="utf-8"))
    return found


def read_resources(environment: Environment, folder: Path = TEMPLATES) -> Resources:
    """Raises FileNotFoundError: the templates are not made; ``make synth`` makes them."""
    found: list[Mapping[str, Any]] = []
    for stack in (environment.auth_stack, environment.trading_stack):
        body = json.loads((folder / f"{stack}.template.json").read_text(encoding="utf-8"))
        found += body["Resources"].values()

    def all_of(type_: str) -> Sequence[Mapping[str, Any]]:
        return [each for each in found if each["Type"] == f"AWS::{type_}"]

    (pool,) = all_of("Cognito::UserPool")
    return Resources(
        alarms=len(all_of("CloudWatch::Alarm")),
        dashboards=len(all_of("CloudWatch::Dashboard")),
        keys=len(all_of("KMS::Key")),
        nats=len(all_of("EC2::NatGateway")),
        addresses=len(all_of("EC2::EIP")),
        pool=pool["Properties"].get("UserPoolTier", "ESSENTIALS"),
    )


def amount(terms: Sequence[float], strategies: float, minutes: float) -> float:
    """(fixed, a strategy, a minute, a strategy and minute) of a user's day."""
    fixed, strategy, minute, both = terms
    return fixed + strategy * strategies + minute * minutes + both * strategies * minutes
