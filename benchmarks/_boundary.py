"""A discrete-event model of one entry minute on AWS: from the trigger that looks ahead to it to the last order.

A model, not a measurement. Its parts are the ones the engine has (``engine/schedule.py``, ``engine/shift.py``), its
limits the ones AWS publishes; ``Terms`` says where each number is from. Time is in seconds from the trigger. The same
seed makes the same minute, and what is random of a user does not depend on any limit, so that runs can be compared.

Simplified: a user's strategies are woken together, once all of them are claimed; a wake-up goes to whichever
environment is ready first, also where Lambda would wait for the one it has begun to start; limits of DynamoDB are
rates without its bursts, which AWS promises to nobody; nothing fails.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, exp, floor, inf
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one claim and one shift take. Measured figures are put in by ``scale.py``."""

    decode: float = 1 / 13_500
    """CPU seconds to find and decode a strategy."""
    page_units: float = 0.30
    """Read units a strategy costs to find."""
    claim_waits: float = 0.028
    """Seconds a claim waits for answers: a get, a commit, a message sent."""
    claim_cpu: float = 0.008
    claim_index: float = 3.0
    """Write units in the busiest index partition of the strategy's shard."""
    claim_table: float = 16.0
    """Write units of the busiest table."""
    shift_waits: float = 0.25
    """From the start of a shift until it is ready for the minute."""
    shift_cpu: float = 0.06
    entry_waits: float = 0.1
    """From the minute to the first order."""
    entry_cpu: float = 0.1
    """Of a strategy."""
    entry_index: float = 9.0
    entry_table: float = 80.0
    after_waits: float = 0.5
    """Until what was sent has filled and the shift ends."""
    spread: float = 0.25
    """Of a user's waits: the standard deviation of their logarithm."""
    orders: int = 4
    """A strategy has, on one account."""
    orders_a_second: int = 7
    """The rate leaves to entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The limits that one minute meets. ``inf`` lifts one."""

    strategies: int = 1_000_000
    each: int = 5
    """Strategies a user has at the minute, all on one account."""
    shards: int = 16
    workers: float = inf
    """Processes that claim, each for as many shards; at most one a shard, which is how it is built."""
    claims_at_once: float = 32
    """In one process."""
    timeout: float = 60.0
    """Of a process that claims; what it has not claimed by then is not claimed."""
    lead: float = 300.0
    """From the trigger to the minute."""
    partition_reads: float = 3000.0
    partition_writes: float = 1000.0
    splits: float = 1.0
    """Parts into which DynamoDB has split a shard's partition."""
    table_writes: float = 4000.0
    """A second, of one table: what a new one takes before it has grown."""
    pollers: float = 5.0
    """Invocations SQS has under way at once when the first message is visible."""
    pollers_a_second: float = 5.0
    pollers_most: float = 1000.0
    concurrency: float = 300.0
    """Reserved for the worker of entries."""
    environments: float = 1000.0
    """That Lambda starts at once."""
    environments_a_second: float = 100.0
    cold: float = 1.5
    """Seconds until a new environment can work."""
    batch: int = 10
    early: float = 5.0
    """Before the minute its wake-ups are visible."""
    rate: bool = True
    """Whether an account's orders a second are limited."""
    compute: bool = True
    """Whether CPU and answers take any time."""
    grace: float = 60.0
    """An entry later than this is skipped by its strategy."""
    seed: int = 7

    @property
    def users(self) -> int:
        return ceil(self.strategies / self.each)

    def unlimited(self) -> "Setting":
        """The same minute where nothing takes any time."""
        return replace(
            self,
            workers=inf, claims_at_once=inf, timeout=inf, partition_reads=inf, partition_writes=inf, table_writes=inf,
            pollers=inf, pollers_most=inf, concurrency=inf, environments=inf, cold=0.0, rate=False, compute=False,
        )  # fmt: skip


RESOURCES: dict[str, tuple[str, ...]] = {
    "claims, a process a shard": ("workers", "claims_at_once", "timeout", "compute"),
    "reading of an index partition": ("partition_reads",),
    "writing of an index partition": ("partition_writes",),
    "writing of a table": ("table_writes",),
    "pollers of the queue": ("pollers", "pollers_a_second", "pollers_most", "compute"),
    "reserved concurrency": ("concurrency", "compute"),
    "start of environments": ("environments", "environments_a_second", "cold", "compute"),
    "orders a second of an account": ("rate",),
}
"""What alone may hold the minute up, and the fields of ``Setting`` that are its limit."""


def alone(setting: Setting, resource: str) -> Setting:
    """The setting with the limit of one resource only."""
    kept = {name: getattr(setting, name) for name in RESOURCES[resource]}
    return replace(setting.unlimited(), **kept)


@dataclass(slots=True, kw_only=True)
class Minute:
    """How it went: by strategy, in seconds from the trigger; ``inf``: never."""

    setting: Setting
    claimed: list[float]
    entered: list[float]
    """When its last order was sent."""
    entries: list[int] = field(default_factory=list)
    """How often each was entered."""

    @property
    def unclaimed(self) -> int:
        return sum(at == inf for at in self.claimed)

    @property
    def late(self) -> list[float]:
        """Seconds behind the minute of those that were claimed, ascending."""
        return sorted(at - self.setting.lead for at in self.entered if at < inf)

    @property
    def last(self) -> float:
        """Seconds from the minute to the last order."""
        late = self.late
        return late[-1] if late else inf

    def within_grace(self) -> int:
        """Strategies whose orders were all sent before their entry is too late to make."""
        return sum(late <= self.setting.grace for late in self.late)


class _Rate:
    """Units of one partition or table, first come, first served."""

    __slots__ = ("_free", "_per_second")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free = 0.0

    def take(self, at: float, units: float) -> float:
        """When they are written."""
        self._free = max(self._free, at) + units / self._per_second
        return self._free


class _Process:
    """One that claims: a core, and so many claims under way at once."""

    __slots__ = ("_busy", "_under_way", "left")

    def __init__(self, shards: Sequence[list[int]], setting: Setting, terms: Terms) -> None:
        self.left = [strategy for some in shards for strategy in some][::-1]
        found = len(self.left)
        read = max(map(len, shards), default=0) * terms.page_units / setting.partition_reads
        self._busy = max(read, found * terms.decode if setting.compute else 0.0)
        self._under_way = [self._busy] * int(min(setting.claims_at_once, max(found, 1)))

    @property
    def next_at(self) -> float:
        """When it can begin with the next claim."""
        return max(self._busy, self._under_way[0])

    def claims(self, busy: float, done: float) -> None:
        self._busy = busy
        heapq.heapreplace(self._under_way, done)


class Boundary:
    """One minute, played by ``play``."""

    def __init__(self, setting: Setting, terms: Terms | None = None) -> None:
        self.setting = setting
        self.terms = terms or Terms()
        random = Random(setting.seed)
        self._shard_of = [random.randrange(setting.shards) for _ in range(setting.users)]
        spread = self.terms.spread
        self._slow = [exp(random.gauss(0.0, spread)) if spread else 1.0 for _ in range(setting.users)]
        self._partitions = [_Rate(setting.partition_writes * setting.splits) for _ in range(setting.shards)]
        self._table = _Rate(setting.table_writes)

    def play(self) -> Minute:
        setting = self.setting
        claimed, entered = [inf] * setting.strategies, [inf] * setting.strategies
        entries = [0] * setting.strategies
        self._claim(claimed)
        self._enter(claimed, entered, entries)
        return Minute(setting=setting, claimed=claimed, entered=entered, entries=entries)

    @property
    def _workers(self) -> int:
        return int(min(self.setting.workers, self.setting.shards))

    def _of_user(self, user: int) -> range:
        first = user * self.setting.each
        return range(first, min(first + self.setting.each, self.setting.strategies))

    # ------------------------------------------------------------ the trigger

    def _claim(self, claimed: list[float]) -> None:
        """Every process reads all of its shards, then claims what it found; whoever can claim first does."""
        setting, terms = self.setting, self.terms
        takes = 1.0 if setting.compute else 0.0
        of_shard: list[list[int]] = [[] for _ in range(setting.shards)]
        for user, shard in enumerate(self._shard_of):
            of_shard[shard] += self._of_user(user)
        processes = [
            _Process([of_shard[shard] for shard in range(first, setting.shards, self._workers)], setting, terms)
            for first in range(self._workers)
        ]
        coming = [(process.next_at, number) for number, process in enumerate(processes) if process.left]
        heapq.heapify(coming)
        while coming:
            at, number = coming[0]
            process = processes[number]
            strategy = process.left.pop()
            busy = at + terms.claim_cpu * takes
            partition = self._partitions[self._shard_of[strategy // setting.each]]
            written = max(partition.take(busy, terms.claim_index), self._table.take(busy, terms.claim_table))
            done = max(busy + terms.claim_waits * takes, written)
            process.claims(busy, done)
            if done <= setting.timeout:
                claimed[strategy] = done
            if process.left and process.next_at < setting.timeout:
                heapq.heapreplace(coming, (process.next_at, number))
            else:
                heapq.heappop(coming)

    # ------------------------------------------------------------ the queue and its workers

    def _enter(self, claimed: list[float], entered: list[float], entries: list[int]) -> None:
        setting = self.setting
        waiting: list[tuple[float, int]] = []
        for user in range(setting.users):
            mine = [at for each in self._of_user(user) if (at := claimed[each]) < inf]
            if mine:
                waiting.append((max(setting.lead - setting.early, *mine), user))
        waiting.sort()
        if not waiting:
            return
        together = max(1, setting.batch // setting.each)
        ready = self._environments(waiting[0][0], len(waiting))
        free: list[float] = []
        coming = next(ready)
        next_user = 0
        while next_user < len(waiting):
            at = free[0] if free and free[0] <= coming else coming
            if at == coming:
                coming = next(ready)
            else:
                heapq.heappop(free)
            at = max(at, waiting[next_user][0])
            batch: list[int] = []
            while next_user < len(waiting) and len(batch) < together and waiting[next_user][0] <= at:
                batch.append(waiting[next_user][1])
                next_user += 1
            heapq.heappush(free, self._work(at, batch, claimed, entered, entries))

    def _environments(self, first: float, most: int) -> Iterator[float]:
        """When the first, second, ... can take a wake-up; each then takes another when it is done."""
        setting = self.setting
        for number in range(int(min(setting.concurrency, setting.pollers_most, most))):
            polled = max(0.0, (number + 1 - setting.pollers) / setting.pollers_a_second)
            started = max(0.0, (number + 1 - setting.environments) / setting.environments_a_second)
            yield first + max(polled, started) + setting.cold
        while True:
            yield inf

    def _work(
        self, at: float, batch: list[int], claimed: list[float], entered: list[float], entries: list[int]
    ) -> float:
        """One invocation: the shifts of a few users on one core. When it ends."""
        setting, terms = self.setting, self.terms
        takes = 1.0 if setting.compute else 0.0
        core, end = at, at
        for user in batch:
            core = max(core, at) + terms.shift_cpu * takes
            slow = self._slow[user] * takes
            begin = max(setting.lead, core, at + terms.shift_waits * slow) + terms.entry_waits * slow
            mine = [each for each in self._of_user(user) if claimed[each] < inf]
            for number, strategy in enumerate(mine):
                core = max(core, begin) + terms.entry_cpu * takes
                written = max(
                    self._partitions[self._shard_of[user]].take(begin, terms.entry_index),
                    self._table.take(begin, terms.entry_table),
                )
                entered[strategy] = max(core, written, self._sent(begin, number))
                entries[strategy] += 1
                end = max(end, entered[strategy] + terms.after_waits * slow)
        return end

    def _sent(self, begin: float, number: int) -> float:
        """When the rate lets the last order of a user's so-many-th strategy go."""
        if not self.setting.rate:
            return begin
        seconds = ((number + 1) * self.terms.orders - 1) // self.terms.orders_a_second
        return floor(begin) + seconds if seconds else begin
