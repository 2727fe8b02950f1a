"""``environments.json`` as values: what differs between dev, staging and production, and what everything is called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("environments.json")

REMOVALS = ("destroy", "retain")
SIGN_UPS = ("anyone", "invited")
MFAS = ("optional", "required")
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)
"""The retentions CloudWatch Logs takes, up to a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Lambda concurrency that is reserved; entries and exits never take each other's, and nobody takes the timer's."""

    entries: int
    exits: int
    timer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """From where an alarm is raised. ``email`` is subscribed to all of them; None: nobody is."""

    email: str | None
    boundary_offset_ms: int
    due_to_sent_ms: int
    refusals_in_five_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """``static``: what speaks to brokers leaves by elastic IPs, one a gateway; otherwise by any address."""

    static: bool
    gateways: int


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who may have a login, and how they prove themselves."""

    sign_up: str
    mfa: str
    threat_protection: bool
    password_login: bool
    """Whether a password may be sent to Cognito as it is, which scripts need; otherwise SRP only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """``origins``: web pages that may call the API; none, no page of another origin may."""

    origins: tuple[str, ...]
    requests_per_second: int
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One installation. Resources are named ``{resources}-…``, so that several fit into one AWS account."""

    name: str
    project: str
    auth_stack: str
    trading_stack: str
    resources: str
    region: str
    removal: str
    log_days: int
    shards: int
    concurrency: Concurrency
    alarms: Alarms
    egress: Egress
    people: People
    api: Api

    @property
    def keeps_data(self) -> bool:
        """Whether tables and keys outlive their stack, and cannot be deleted by mistake."""
        return self.removal == "retain"

    @property
    def table_prefix(self) -> str:
        """Of the tables' names: ``options-dev-trading-configurations``."""
        return f"{self.resources}-"

    def named(self, what: str) -> str:
        return f"{self.resources}-{what}"

    def exported(self, what: str) -> str:
        """The name under which the auth stack exports a value."""
        return f"{self.auth_stack}:{what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An AWS account by the name ``deploy.sh -a`` takes. ``number``: the profile must be of it; None: of any."""

    profile: str
    number: str | None


def read(path: Path = PATH) -> dict[str, Environment]:
    """The environments by name.

    Raises:
        ValueError: all that is wrong with the file, a line each.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    wrong: list[str] = []
    found = {name: _environment(document, name, wrong) for name in document["environments"]}
    if wrong:
        raise ValueError("\n".join(wrong))
    return {name: environment for name, environment in found.items() if environment is not None}


def read_accounts(path: Path = PATH) -> dict[str, Account]:
    document = json.loads(path.read_text(encoding="utf-8"))
    return {name: Account(**table) for name, table in document["accounts"].items()}


def _environment(document: Mapping[str, Any], name: str, wrong: list[str]) -> Environment | None:
    table = dict(document["environments"][name])
    try:
        environment = Environment(
            name=name,
            project=document["project"],
            auth_stack=document["stacks"]["auth"].format(env=name),
            trading_stack=document["stacks"]["trading"].format(env=name),
            resources=document["resources"].format(env=name),
            region=document["region"],
            concurrency=Concurrency(**table.pop("concurrency")),
            alarms=Alarms(**table.pop("alarms")),
            egress=Egress(**table.pop("egress")),
            people=People(**table.pop("people")),
            api=Api(**{**table["api"], "origins": tuple(table.pop("api")["origins"])}),
            **table,
        )
    except (KeyError, TypeError) as error:
        wrong.append(f"environments.{name}: {error}; every environment has the keys of the others, and no more")
        return None
    wrong += _complaints(environment)
    return environment


def _complaints(environment: Environment) -> list[str]:
    where = f"environments.{environment.name}"
    chosen = (
        ("removal", environment.removal, REMOVALS),
        ("log_days", environment.log_days, LOG_DAYS),
        ("people.sign_up", environment.people.sign_up, SIGN_UPS),
        ("people.mfa", environment.people.mfa, MFAS),
    )
    found = [
        f"{where}.{key}: {value!r}; give one of {options}" for key, value, options in chosen if value not in options
    ]
    least = (
        ("shards", environment.shards, 1),
        ("concurrency.entries", environment.concurrency.entries, 2),
        ("concurrency.exits", environment.concurrency.exits, 2),
        ("concurrency.timer", environment.concurrency.timer, 1),
    )
    found += [f"{where}.{key}: {value}; give {at_least} or more" for key, value, at_least in least if value < at_least]
    if environment.egress.gateways not in ((1, 2) if environment.egress.static else (0,)):
        found.append(
            f"{where}.egress: static is {environment.egress.static} with {environment.egress.gateways} gateways; "
            "give 1 or 2 gateways where it is static, 0 where it is not"
        )
    return found
