"""A month, line by line: how much of what is paid for, and what it costs."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import inf
from typing import Any

from infra.cost.inputs import Assumed, Prices, Resources, amount
from infra.entry_points import API, DELIVERIES, ENTRIES, ENTRY_POINTS, EXITS, LIVE, SESSION, TIMER, WATCHDOG, QueueName
from infra.environments import Environment
from infra.metrics import Measure
from infra.timer_machine import BEFORE_AND_AFTER, LEAD_SECONDS, LOOP
from option_baskets.adapters.cadence import load_cadence
from option_baskets.adapters.facts import load
from option_baskets.domain.cadence import events_at, instants
from option_baskets.domain.session import session_on

GB = 1024**3
HOURS = 730
LOOKS_A_DAY = 15 * 60 + 1
"""Of the watchdog: every minute from 09:00 to 23:59, and the start."""
IDLE_POLLS = 5 * 3
"""Of a queue in a minute: five pollers that wait 20 s each."""
PLAIN_DAY = date(2026, 11, 23)
MB_A_CORE = 1769
UNDERLYINGS = 5
"""A snapshot is written for each, whoever holds it."""
MESSAGES_A_COMMIT = 50
"""As ``engine/dispatch.py`` writes them."""
IN_A_ROW = 10
"""Requests of an event that wait for each other."""
AT_ONCE = 10
"""Messages SQS takes or hands over in one request."""


@dataclass(frozen=True, slots=True)
class Line:
    service: str
    what: str
    quantity: float
    price: str

    def usd(self, prices: Prices) -> float:
        return self.quantity * prices.by_name[self.price].usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What a function does in a month. ``seconds`` are of one invocation, billed."""

    invocations: float
    seconds: float
    reads: float = 0.0
    writes: float = 0.0


@cache
def events_a_day() -> Counter[str]:
    """Events on the bus on a plain day, by the function that has them."""
    session = session_on(load(), PLAIN_DAY)
    assert session is not None
    cadence = load_cadence()
    of_type = {point.serves: point.name for point in ENTRY_POINTS if point.serves is not None}
    return Counter(
        of_type[event.type]
        for tick in instants(session, cadence.boundary)
        for event in events_at(cadence, session, tick)
    )


def _cores(name: str) -> float:
    """Of one a function has; more than one do not help it."""
    (memory,) = (point.memory for point in ENTRY_POINTS if point.name == name)
    return min(1.0, memory / MB_A_CORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The month of so many users in an environment."""

    users: int
    environment: Environment
    counts: Mapping[str, Any]
    resources: Resources
    assumed: Assumed

    @property
    def trading(self) -> float:
        """Users with a run on a day."""
        return self.users * self.assumed.trading

    @property
    def fill(self) -> float:
        """Messages of a minute that one request or invocation takes where it may take ten."""
        return max(1.0, min(float(AT_ONCE), self.trading * self.assumed.woken))

    def _of_user(self, terms: Sequence[float], *, less: float = 0.0) -> float:
        """A user's day; what is there with no user at all is taken off."""
        assumed = self.assumed
        return amount(terms, assumed.strategies, assumed.minutes) - less

    def _woken(self, terms: Sequence[float], *, compares: bool = False) -> float:
        """A user's day of shifts, woken in a part of the minutes; what only comparing wakes may not be there."""
        minutes = self.assumed.minutes * self.assumed.woken
        return amount(terms, self.assumed.strategies, 0 if compares and not self.assumed.compared_apart else minutes)

    def cpu_of_request(self) -> float:
        client = self.counts["client cpu"]
        return float(client["get"] + client["commit"]) / 2

    def seconds_of_request(self) -> float:
        return (self.assumed.get_seconds + self.assumed.commit_seconds) / 2

    # ------------------------------------------------------------ functions

    def handler(self, name: str) -> Worked:
        """One of the four events: for a shard's users, on one core, with many requests under way at once."""
        counted = self.counts["functions"][name]
        nobody = counted["of nobody"]
        a_day = events_a_day()[name]
        shards = self.environment.shards / self.counts["shards"]

        def of_day(quantity: str, most: float = inf) -> float:
            empty = float(nobody.get(quantity, 0.0))
            fixed: float = empty / nobody["invocations"] * a_day * shards
            return fixed + min(self.trading, most) * self._of_user(counted[quantity], less=empty)

        alone, commits = self._message_commits(name)
        requests = of_day("requests") - alone + sum(self.sends(name).values())
        cpu = self.trading * max(0.0, self._of_user(counted["cpu"])) + requests * self.cpu_of_request()
        cpu += commits * self.counts["client cpu"]["commit of 50"]
        parts = a_day * self.parts(name)
        return Worked(
            invocations=parts * self.assumed.trading_days,
            seconds=cpu / parts / _cores(name) + IN_A_ROW * self.seconds_of_request(),
            reads=of_day("reads") * self.assumed.trading_days,
            writes=(of_day("writes", UNDERLYINGS if name == "quotes" else inf) - self._unsent(name))
            * self.assumed.trading_days,
        )

    def parts(self, name: str) -> int:
        """Into how many an event of this function is divided, as ``adapters/aws/bus.py`` does."""
        return 1 if name == "quotes" else self.environment.shards

    def _message_commits(self, name: str) -> tuple[float, float]:
        """Commits of a day's messages of the minute: counted with one user, one each; and as many as there are, fifty
        messages of a shard together."""
        if name not in ("stops", "duplicates"):
            return 0.0, 0.0
        alone = self.trading * self.counts["functions"][name]["requests"][2] * self.assumed.minutes
        return alone, alone / max(1.0, min(MESSAGES_A_COMMIT, self.trading / self.environment.shards))

    def _unsent(self, name: str) -> float:
        """Write units a day of messages that are not sent: of minutes in which nobody is woken."""
        minute = self.counts["functions"][name]["writes"][2] if name in ("stops", "duplicates") else 0.0
        compares = 0.0 if name == "stops" or self.assumed.compared_apart else self.assumed.woken
        return self.trading * minute * self.assumed.minutes * (1 - self.assumed.woken + compares)

    def worker(self, queue: QueueName) -> Worked:
        counted = self.counts["functions"][queue.value]
        only = queue is QueueName.ENTRIES
        together = min(self.fill, DELIVERIES[queue].batch)
        woken = self._woken(counted["invocations"], compares=only)
        requests = self._woken(counted["requests"], compares=only)
        side_by_side = self._woken(counted["waited"], compares=only) + requests * self.seconds_of_request()
        cpu = max(0.0, self._woken(counted["cpu"], compares=only)) + requests * self.cpu_of_request()
        days = self.trading * self.assumed.trading_days
        return Worked(
            invocations=days * woken / together,
            seconds=(side_by_side + cpu * together / _cores(queue.value)) / woken,
            reads=days * self._woken(counted["reads"], compares=only),
            writes=days * (self._woken(counted["writes"]) - (0 if only else self._spared())),
        )

    def _spared(self) -> float:
        """Write units of a user's day: messages to compare that are not sent, and so not deleted either."""
        minutes = self.assumed.minutes * self.assumed.woken
        return 0.0 if self.assumed.compared_apart else minutes * self.counts["functions"]["duplicates"]["writes"][2]

    def functions(self) -> dict[str, Worked]:
        assumed, timer = self.assumed, self.counts["timer"]
        days = assumed.trading_days
        records = (
            self.trading * sum(self._woken(counted["records"]) for counted in self.counts["functions"].values())
            + timer["records"]
        )
        turn = timer["requests"] / timer["turns"]
        found = {name: self.handler(name) for name in ("schedule", "stops", "duplicates", "quotes")}
        found |= {queue.value: self.worker(queue) for queue in QueueName}
        found[SESSION.name] = Worked(invocations=assumed.days, seconds=0.1)
        found[TIMER.name] = Worked(
            invocations=days * timer["turns"],
            seconds=LEAD_SECONDS + turn * (self.seconds_of_request() + self.cpu_of_request() / _cores(TIMER.name)),
            reads=days * timer["reads"],
            writes=days * timer["writes"],
        )
        found[WATCHDOG.name] = Worked(
            invocations=assumed.days * LOOKS_A_DAY,
            seconds=self.seconds_of_request() + self.cpu_of_request() / _cores(WATCHDOG.name),
            reads=days * timer["reads"],
        )
        found[API.name] = Worked(
            invocations=self.users * assumed.api_requests * days,
            seconds=assumed.api_seconds,
            reads=self.users * assumed.api_requests * days * assumed.api_reads,
            writes=self.users * days * assumed.api_writes,
        )
        found[LIVE.name] = Worked(invocations=days * records, seconds=assumed.live_seconds, reads=days * records)
        connections = self.users * assumed.connected * days
        found["socket"] = Worked(invocations=2 * connections, seconds=0.1, writes=8 * connections)
        return found

    def sends(self, sender: str = "") -> dict[str, float]:
        """Requests that send wake-ups in a day, by queue; the schedule trigger sends each claim's for itself."""
        found: dict[str, float] = defaultdict(float)
        for key, terms in self.counts["sent"].items():
            function, queue = key.split()
            if sender in ("", function):
                sent = self.trading * self._woken(terms, compares=function == "duplicates")
                found[queue] += sent / (1 if key == "schedule entries" else self.fill)
        return found

    # ------------------------------------------------------------ lines

    def lines(self) -> list[Line]:
        return [
            *self._lambda(),
            *self._tables(),
            *self._messages(),
            *self._doors(),
            *self._watching(),
            *self._standing(),
        ]

    def _lambda(self) -> Iterator[Line]:
        memory = {point.name: point.memory for point in ENTRY_POINTS}
        worked = self.functions()
        gb_seconds = sum(each.invocations * each.seconds * memory[name] / 1024 for name, each in worked.items())
        yield Line("Lambda", "GB-seconds", gb_seconds, "lambda_gb_second")
        yield Line("Lambda", "requests", sum(each.invocations for each in worked.values()), "lambda_request")

    def _tables(self) -> Iterator[Line]:
        worked = self.functions().values()
        yield Line("DynamoDB", "write units", sum(each.writes for each in worked), "dynamodb_write_unit")
        yield Line("DynamoDB", "read units", sum(each.reads for each in worked), "dynamodb_read_unit")
        a_day = sum(self._of_user(terms) for terms in self.counts["kept bytes"].values())
        year = self.trading * a_day * self.assumed.trading_days * 12 / GB
        yield Line("DynamoDB", "GB kept, after a year", year, "dynamodb_gb_month")
        yield Line("DynamoDB", "GB that can be taken back, after a year", year, "dynamodb_recovery_gb_month")

    def _messages(self) -> Iterator[Line]:
        assumed, worked = self.assumed, self.functions()
        received = sum(worked[point.name].invocations for point in (ENTRIES, EXITS))
        polls = len(QueueName) * IDLE_POLLS * assumed.days * 24 * 60
        sent = sum(self.sends().values()) * assumed.trading_days
        yield Line("SQS", "requests: sent, received, deleted, idle polls", sent + 2 * received + polls, "sqs_request")
        events = sum(count * self.parts(name) for name, count in events_a_day().items()) * assumed.trading_days
        yield Line("EventBridge", "events", events, "eventbridge_event")
        yield Line("EventBridge", "schedules", LOOKS_A_DAY * assumed.days, "scheduler_invocation")
        turns = self.counts["timer"]["turns"]
        passed = assumed.trading_days * (len(BEFORE_AND_AFTER) + len(LOOP) * turns)
        passed += (assumed.days - assumed.trading_days) * len(BEFORE_AND_AFTER)
        yield Line("Step Functions", "transitions", passed, "step_functions_transition")

    def _doors(self) -> Iterator[Line]:
        assumed = self.assumed
        worked = self.functions()
        yield Line("API Gateway", "requests", worked[API.name].invocations, "http_api_request")
        turns = self.counts["timer"]["turns"]
        told = sum(self._woken(counted["records"]) for counted in self.counts["functions"].values())
        connections = self.users * assumed.connected * assumed.trading_days
        yield Line("WebSocket", "messages", connections * (turns + told), "websocket_message")
        yield Line("WebSocket", "minutes connected", connections * turns, "websocket_minute")
        yield Line(
            "Cognito", f"users active, {self.resources.pool}", self.users, f"cognito_user_{self.resources.pool.lower()}"
        )
        yield Line("KMS", "keys", self.resources.keys, "kms_key_month")
        opened = self.users * assumed.live_accounts * assumed.minutes * assumed.woken * assumed.trading_days
        yield Line("KMS", "requests", 4 * self.users + opened, "kms_request")

    def _watching(self) -> Iterator[Line]:
        assumed, worked = self.assumed, self.functions()
        invocations = sum(each.invocations for each in worked.values())
        logged = (invocations * assumed.log_bytes + worked[API.name].invocations * assumed.access_log_bytes) / GB
        yield Line("CloudWatch", "GB logged", logged, "log_gb")
        kept = logged * self.environment.log_days / assumed.days
        yield Line("CloudWatch", "GB of logs kept", kept, "log_gb_month")
        yield Line("CloudWatch", "alarms", self.resources.alarms, "alarm_month")
        yield Line("CloudWatch", "metrics", len(Measure), "metric_month")
        yield Line("CloudWatch", "dashboards", self.resources.dashboards, "dashboard_month")
        yield Line("X-Ray", "traces", invocations * assumed.traced, "trace")

    def _standing(self) -> Iterator[Line]:
        assumed = self.assumed
        yield Line("NAT", "hours", self.resources.nats * HOURS, "nat_hour")
        yield Line("NAT", "hours of addresses", self.resources.addresses * HOURS, "address_hour")
        minutes = self.users * assumed.live_accounts * assumed.minutes * assumed.woken * assumed.trading_days
        through = minutes * assumed.broker_bytes / GB
        yield Line("NAT", "GB through", through if self.resources.nats else 0.0, "nat_gb")
