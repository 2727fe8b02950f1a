"""Every access pattern of the tables, each with its key (users: ``people_keys``). docs/data-model.md is their picture.

A key is parts joined by ``#``. Ids given by users never contain one (``part`` refuses it), so no name can reach into
another key, and every partition of a user's data begins with the user's id.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from option_baskets.domain.errors import Invalid
from option_baskets.domain.session import IST

Key = tuple[str, str]
"""(partition, sort)."""

REGISTER_KEPT = timedelta(days=7)
MADE_KEPT = timedelta(days=1)
SHARDS = ("SHARDS", "SHARDS")
"""Into how many the tables are divided."""
LED_TIME = ("TIME", "TIME")
"""The market's time, where somebody leads it by hand."""
PROBE = ("PROBE", "PROBE")
"""Written to see whether the table can be."""
NEWEST_SESSION = ("SESSION", "NEWEST")
"""Which day is traded, or was traded last."""
SNAPSHOT_KEPT = timedelta(seconds=300)


def part(value: str) -> str:
    """An id as one part of a key.

    Raises:
        Invalid: it is empty or contains ``#``.
    """
    if not value or "#" in value:
        raise Invalid(f"{value!r} cannot be an id: it must not be empty or contain '#'", where="id")
    return value


@lru_cache(maxsize=100_000)
def shard_of(user_id: str, shards: int) -> int:
    """Which of ``shards`` partitions holds the schedule of this user."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:4]) % shards


@lru_cache(maxsize=10_000)
def timestamp(at: datetime) -> str:
    """An instant as text that sorts as time does: UTC, microseconds, always 27 characters.

    Raises:
        ValueError: ``at`` has no zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def minute(moment: time) -> str:
    return moment.strftime("%H:%M")


def local(at: datetime) -> datetime:
    """The instant on the exchange's clock, which dates and minutes in keys are in."""
    return at.astimezone(IST)


def expiry_of(at: datetime) -> int:
    return int(at.timestamp())


# ---------------------------------------------------------------- configurations: what users wrote

BASKETS = "BASKET#"
STRATEGIES = "STRATEGY#"
ALLOCATIONS = "LEG_ALLOCATION#"
ACCOUNTS = "ACCOUNT#"


def basket(user_id: str, basket_id: str) -> Key:
    return part(user_id), BASKETS + part(basket_id)


def strategy(user_id: str, strategy_id: str) -> Key:
    return part(user_id), STRATEGIES + part(strategy_id)


def allocation(user_id: str, allocation_id: str) -> Key:
    return part(user_id), ALLOCATIONS + part(allocation_id)


def account(user_id: str, account_id: str) -> Key:
    return part(user_id), ACCOUNTS + part(account_id)


def edits(user_id: str) -> Key:
    """Counts the edits of a user's plans; whoever edits one raises it, so edits of one user never overlap."""
    return part(user_id), "EDITS"


def made(user_id: str, name: str) -> Key:
    """What an edit of that name made; the name may be any text."""
    return part(user_id), f"MADE#{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def strategies_of_basket(user_id: str, basket_id: str) -> str:
    """AllocationsByStrategy partition: a basket's strategies."""
    return f"{part(user_id)}#{BASKETS}{part(basket_id)}"


def allocations_of_strategy(user_id: str, strategy_id: str) -> str:
    """AllocationsByStrategy partition: a strategy's allocations, sorted by ``by_priority``."""
    return f"{part(user_id)}#{STRATEGIES}{part(strategy_id)}"


def by_priority(priority: int, allocation_id: str) -> str:
    return f"{ALLOCATIONS}{_sortable(priority)}#{part(allocation_id)}"


def accounts_of_shard(shard: int) -> str:
    """AllocationsByStrategy partition: the accounts of every user of the shard."""
    return f"ACCOUNTS#{shard}"


# ---------------------------------------------------------------- configurations: what is due


def entry_slot(moment: time, shard: int) -> str:
    """UserExecutionSchedule partition: strategies that enter at this minute, each followed by its allocations."""
    return f"ENTRY#{minute(moment)}#{shard}"


def in_slot(user_id: str, strategy_id: str) -> str:
    return f"{part(user_id)}#{part(strategy_id)}#0"


def in_slot_allocation(user_id: str, strategy_id: str, priority: int, allocation_id: str) -> str:
    return f"{part(user_id)}#{part(strategy_id)}#1#{_sortable(priority)}#{part(allocation_id)}"


def entry_register(shard: int) -> Key:
    """How many strategies enter at each minute; a minute without any is not in it."""
    return f"SLOTS#{shard}", "ENTRY"


@lru_cache(maxsize=1_000)
def exit_slot(at: datetime, shard: int) -> str:
    """UserExecutionSchedule partition: runs that are not over and exit at this minute of this day."""
    return f"EXIT#{local(at):%Y-%m-%dT%H:%M}#{shard}"


def exit_register(day: date, shard: int) -> Key:
    """The minutes of this day at which a run may exit."""
    return f"SLOTS#{shard}", f"EXIT#{day.isoformat()}"


# ---------------------------------------------------------------- configurations: runs and the machine's own


RUNS = "RUN#"
TICKS = "TICKS#"


def run(user_id: str, run_id: str) -> Key:
    """``run_id`` is ``{date}#{strategy}#{cycle}``, so a day's runs are one range."""
    return part(user_id), f"{RUNS}{run_id}"


def runs_on(day: date) -> str:
    return f"RUN#{day.isoformat()}#"


def all_runs(day: date | None = None) -> tuple[str, str]:
    """The range of sort keys of a day's runs, or of all."""
    return ("RUN#", "RUN$") if day is None else (runs_on(day), f"RUN#{day.isoformat()}$")


def fence(user_id: str, day: date, level: str, *subject: str) -> Key:
    """What may not be entered any more on a day: of an account, a basket, or (strategy, account)."""
    return part(user_id), "#".join([f"{fences_on(day)}{level}", *map(part, subject)])


def fences_on(day: date) -> str:
    return f"FENCE#{day.isoformat()}#"


def kill(user_id: str, shard: int, scope: str, name: str) -> Key:
    """A kill switch that is thrown, or a strategy that is to be left. Those of a shard are read every second."""
    subject = f"{scope}#{part(name)}" if name else scope
    return kills_of_shard(shard), f"{kills_of(user_id)}{subject}"


def kills_of_shard(shard: int) -> str:
    return f"KILLS#{shard}"


def kills_of(user_id: str) -> str:
    """Those of one user are one range of their shard."""
    return f"{part(user_id)}#"


def limits(user_id: str) -> Key:
    """The user's own limits."""
    return part(user_id), "LIMITS"


def high_water(user_id: str, basket_id: str) -> Key:
    return part(user_id), f"HIGH_WATER#{part(basket_id)}"


def active_runs(shard: int) -> str:
    """AllocationsByStrategy partition: runs that are not over."""
    return f"ACTIVE#{shard}"


def in_active(user_id: str, run_id: str) -> str:
    return f"{part(user_id)}#{run_id}"


def closed_runs(user_id: str, strategy_id: str) -> str:
    """AllocationsByStrategy partition: a strategy's closed runs, sorted by ``in_closed``."""
    return f"{part(user_id)}#CLOSED#{part(strategy_id)}"


def in_closed(at: datetime, run_id: str) -> str:
    """Sorted by when its last position was closed."""
    return f"{timestamp(at)}#{run_id}"


def over_runs(user_id: str, strategy_id: str) -> str:
    """UserExecutionSchedule partition: a strategy's runs that are over, however they ended, sorted by ``in_over``."""
    return f"{part(user_id)}#RUNS#{part(strategy_id)}"


def in_over(day: date, cycle: int) -> str:
    return f"{day.isoformat()}#{cycle:04d}"


def closed_before(at: datetime) -> tuple[str, str]:
    """The range of sort keys of runs that closed before this instant."""
    return "0", timestamp(at)


def units(user_id: str, basket_id: str, policy: str, day: date) -> Key:
    """How a policy divided its units on a day; ``units_until`` is the range of the days before."""
    return part(user_id), f"{_units(basket_id, policy)}{day.isoformat()}"


def units_until(basket_id: str, policy: str, day: date) -> tuple[str, str]:
    """The range of sort keys of a policy's divisions up to a day, that day included."""
    start = _units(basket_id, policy)
    return start, f"{start}{day.isoformat()}"


def _units(basket_id: str, policy: str) -> str:
    return f"UNITS#{part(basket_id)}#{part(policy)}#"


def tick(at: datetime) -> Key:
    return ticks(local(at).date()), timestamp(at)


def ticks(day: date) -> str:
    return f"{TICKS}{day.isoformat()}"


def snapshot(underlying: str) -> Key:
    return "MARKET", f"SNAPSHOT#{part(underlying)}"


def chain(underlying: str, at: datetime) -> Key:
    """Every contract of an underlying with its prices at an instant."""
    return f"CHAIN#{part(underlying)}", timestamp(at)


def final_settlement(underlying: str, expiry: date) -> Key:
    return f"SETTLEMENT#{part(underlying)}", expiry.isoformat()


def message(queue: str, message_id: str) -> Key:
    """One item a message id, so that sending a message twice sends it once."""
    return messages(queue), message_id


def messages(queue: str) -> str:
    return f"QUEUE#{part(queue)}"


def inbox(user_id: str) -> str:
    """Partition of what is to be done for a user, by message id."""
    return f"INBOX#{part(user_id)}"


def inboxes_of_shard(shard: int) -> str:
    """AllocationsByStrategy partition: the messages of every user of the shard, in order of their instants."""
    return f"INBOXES#{shard}"


def in_inboxes(at: datetime, user_id: str, message_id: str) -> str:
    return f"{timestamp(at)}#{part(user_id)}#{message_id}"


def in_inboxes_until(at: datetime) -> tuple[str, str]:
    """The range of sort keys of messages due by an instant."""
    return "0", timestamp(at) + "$"


def lease(user_id: str) -> Key:
    """Who works for the user."""
    return f"LEASE#{part(user_id)}", "LEASE"


# ---------------------------------------------------------------- paper exchange: its own book

PAPER_HELD = "HELD#"
PAPER_ORDERS_END = "ORDER$"
"""Behind every order of a user; ``$`` is the character after ``#``."""


def paper_order(user_id: str, day: date, account: str, number: int) -> Key:
    return part(user_id), f"ORDER#{day.isoformat()}#{part(account)}#{number:09d}"


def paper_orders(user_id: str, since: date) -> Key:
    """Where the orders of a day and later ones begin."""
    return part(user_id), f"ORDER#{since.isoformat()}"


def paper_resting(user_id: str) -> str:
    """AllocationsByStrategy partition: orders that are not final."""
    return f"{part(user_id)}#RESTING"


def paper_held(user_id: str, account: str, contract: str) -> Key:
    return part(user_id), f"{PAPER_HELD}{part(account)}#{part(contract)}"


def paper_event(user_id: str, at: datetime, account: str, contract: str, number: int) -> Key:
    return part(user_id), f"EVENT#{timestamp(at)}#{part(account)}#{part(contract)}#{number:04d}"


# ---------------------------------------------------------------- identity: what is kept of requests

CURSOR_KEY = ("INSTALLATION", "CURSOR_KEY")
"""What page cursors are signed with."""


def repeat(user_id: str, key: str) -> Key:
    """What was answered under an Idempotency-Key, which may be any text."""
    return part(user_id), f"REPEAT#{hashlib.sha256(key.encode()).hexdigest()}"


# ---------------------------------------------------------------- identity: secrets of broker accounts


def secret(user_id: str, account_id: str) -> Key:
    """The sealed secrets of an account; what trades of it is in the configurations."""
    return part(user_id), ACCOUNTS + part(account_id)


def secrets_of_shard(shard: int) -> str:
    """AllocationsByStrategy partition: the secrets of every user of the shard, to seal them anew."""
    return f"SECRETS#{shard}"


# ---------------------------------------------------------------- history


def entered(user_id: str, at: datetime, strategy_id: str, run_id: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{part(strategy_id)}#ENTRY#{run_id}"


def exited(user_id: str, at: datetime, strategy_id: str, run_id: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{part(strategy_id)}#EXIT#{run_id}"


ORDER = "#ORDER#"


def order(user_id: str, decided_at: datetime, strategy_id: str, intent: str) -> Key:
    """Sorted by the instant of the decision, so that the last five minutes' orders are one range."""
    return part(user_id), f"{timestamp(decided_at)}#{part(strategy_id)}{ORDER}{part(intent)}"


def fill(user_id: str, at: datetime, strategy_id: str, intent: str, number: int) -> Key:
    return part(user_id), f"{timestamp(at)}#{part(strategy_id)}#FILL#{part(intent)}#{number:09d}"


def settlement(user_id: str, at: datetime, strategy_id: str, name: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{part(strategy_id)}#SETTLEMENT#{name}"


def carried(user_id: str, day: date, run_id: str) -> Key:
    """How a run that goes on stood at the close of a day; a day's are one range."""
    return f"{part(user_id)}{carried_on(day)}", run_id


def carried_on(day: date) -> str:
    return f"#CARRIED#{day.isoformat()}"


def alert(user_id: str, at: datetime, strategy_id: str, alert_id: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{strategy_id}#ALERT#{alert_id}"


def refusal(user_id: str, at: datetime, strategy_id: str, refusal_id: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{part(strategy_id)}#RISK#{refusal_id}"


def occurrence(user_id: str, at: datetime, strategy_id: str, name: str) -> Key:
    return part(user_id), f"{timestamp(at)}#{strategy_id}#EVENT#{name}"


EXIT = "#EXIT#"


def instant_of(sk: str) -> datetime:
    """The instant a sort key of the history begins with, in UTC."""
    return datetime.fromisoformat(sk.split("#", 1)[0])


def kind_of(sk: str) -> tuple[str, str, str]:
    """(strategy or nothing, kind, the rest) of a sort key of the history."""
    _, strategy_id, kind, rest = sk.split("#", 3)
    return strategy_id, kind, rest


DATED = ("0", ":")
"""The range of all sort keys that begin with a date."""


def between(start: datetime, end: datetime) -> tuple[str, str]:
    """The range of sort keys of everything that happened from ``start`` to ``end``, both included."""
    return timestamp(start), timestamp(end) + "$"  # the character after "#"


def of_run(user_id: str, run_id: str) -> str:
    """AllocationsByStrategy partition of the history: orders (``ORDER#``) and fills (``FILL#``) of a run."""
    return f"{part(user_id)}#{run_id}"


def order_of_run(intent: str) -> str:
    return f"ORDER#{intent}"


def fill_of_run(intent: str, number: int) -> str:
    return f"FILL#{intent}#{number:09d}"


def fills_of_order(intent: str) -> str:
    """What the places of an order's fills among those of its run begin with."""
    return f"FILL#{intent}#"


def by_intent(user_id: str, intent: str) -> Key:
    """UserExecutionSchedule entry of the history: an order by its tag."""
    return f"{part(user_id)}#INTENT#{intent}", "ORDER"


def alerts_on(user_id: str, day: date) -> str:
    """AllocationsByStrategy partition of the history: alerts of a day, in order of time."""
    return f"{part(user_id)}#ALERTS#{day.isoformat()}"


def refusals_on(user_id: str, day: date) -> str:
    """AllocationsByStrategy partition of the history: refusals of a day, in order of time."""
    return f"{part(user_id)}#REFUSALS#{day.isoformat()}"


def _sortable(number: int) -> str:
    """A number from -99,999 to 899,999 as text that sorts as it does."""
    if not -99_999 <= number <= 899_999:
        raise Invalid(f"{number} is no priority: give one from -99999 to 899999", where="priority")
    return f"{number + 100_000:06d}"
