"""Making a server's plans those of basket files: what has to change, and the requests that change it.

A request is one commit, a push is several. The server holds each against what is stored, so the order matters: what is
refused for what stands beside it is asked again after the rest. Where two things only go together (a leg that gets
another id, and the allocation with lots of it) the allocations are taken away and made anew around the strategy.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from option_baskets.adapters.basket_file import BasketFile
from option_baskets.adapters.basket_file.tables import allocation_table, basket_table, strategy_table
from option_baskets.cli.client.connection import Connection, decoded
from option_baskets.cli.client.differences import Table, differences, plain, wire, without_identity
from option_baskets.domain.basket import BrokerAccount, Strategy
from option_baskets.domain.errors import Conflict, Invalid, NotFound

BASKETS, STRATEGIES, ACCOUNTS = "/options/baskets", "/options/strategies", "/broker-accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request, and what it changes."""

    method: str
    path: str
    what: str
    """``strategy income.condor``"""
    body: Table | None = None
    version: int | None = None
    """Of what is changed, as it was read."""
    expected: str | None = None
    """The id of what is made."""
    strategy: str = ""
    """The strategy that it is of, or that it is; empty for baskets and accounts."""
    details: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        return {"POST": "+", "PUT": "~", "DELETE": "-"}[self.method]


_ORDER = (
    ("PUT", BASKETS),
    ("DELETE", STRATEGIES),
    ("PUT", STRATEGIES),
    ("POST", BASKETS),
    ("POST", STRATEGIES),
)
"""After accounts and new baskets: what gives room first, what takes it up last."""


@dataclass(slots=True, kw_only=True)
class Push:
    """The plans of files, and what of them the server does not have."""

    api: Connection
    files: Sequence[BasketFile]
    tell: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    _stored: dict[str, list[Table]] = field(default_factory=dict)
    """Allocations by strategy, as they are stored."""

    async def look(self) -> None:
        """Find out what has to change.

        Raises:
            Invalid: files name one account or basket in two ways, or an account that is at another broker.
        """
        accounts = _accounts_of(self.files)
        steps: list[Step] = []
        known = {each["id"]: each for each in await self.api.listed(ACCOUNTS)}
        steps += [step for each in accounts if (step := _account_step(each, known.get(each.id))) is not None]
        for file in self.files:
            steps += await self._steps_of(file)
        self.steps = sorted(steps, key=_rank)

    async def carry_out(self) -> int:
        """Change it all, and return how many requests that took.

        Raises:
            Conflict: somebody changed it meanwhile, or uses what has to go; what was done before stays.
            Invalid: the server does not take it.
        """
        pending, count, loosened = list(self.steps), 0, set[str]()
        while pending:
            refused: list[tuple[Step, Invalid]] = []
            for step in pending:
                try:
                    await self._do(step)
                except Invalid as error:
                    refused.append((step, error))
            count += len(pending) - len(refused)
            if len(refused) < len(pending):
                pending = [step for step, _ in refused]
                continue
            strategy = next((step.strategy for step, _ in refused if self._can_loosen(step, loosened)), None)
            if strategy is None:
                raise Invalid([problem for _, error in refused for problem in error.problems])
            loosened.add(strategy)
            count += len(self._stored[strategy])
            pending = await self._loosen(strategy, pending)
        return count

    # ------------------------------------------------------------ looking

    async def _steps_of(self, file: BasketFile) -> list[Step]:
        basket = file.basket
        wanted = plain(basket_table(basket))
        try:
            stored = await self.api.get(f"{BASKETS}/{_id(basket.id)}")
        except NotFound:
            made = Step(method="POST", path=BASKETS, what=f"basket {basket.id}", body=wanted, expected=basket.id)
            return [made, *(self._new(file, strategy) for strategy in file.strategies)]
        steps = list(_changed(f"{BASKETS}/{_id(basket.id)}", f"basket {basket.id}", stored, wanted))
        there = {each["id"]: each for each in await self.api.listed(STRATEGIES, basket_id=basket.id)}
        for strategy in file.strategies:
            if strategy.id not in there:
                steps.append(self._new(file, strategy))
                continue
            path, what = f"{STRATEGIES}/{_id(strategy.id)}", f"strategy {strategy.id}"
            found = there.pop(strategy.id)
            steps += _changed(path, what, found, plain(strategy_table(strategy)), strategy=strategy.id)
            steps += await self._allocation_steps(file, strategy)
        for gone in there.values():
            path, what = f"{STRATEGIES}/{_id(gone['id'])}", f"strategy {gone['id']}"
            steps.append(Step(method="DELETE", path=path, what=what, version=gone["version"], strategy=gone["id"]))
        return steps

    def _new(self, file: BasketFile, strategy: Strategy) -> Step:
        allocations = [allocation_table(each) for each in file.of(strategy)]
        body = plain(strategy_table(strategy) | ({"allocations": allocations} if allocations else {}))
        lots = ", ".join(each["account"] for each in allocations) or "no account"
        return Step(
            method="POST",
            path=f"{BASKETS}/{_id(file.basket.id)}/strategies",
            what=f"strategy {strategy.id}",
            body=body,
            expected=strategy.id,
            strategy=strategy.id,
            details=(f"{len(strategy.legs)} legs, on {lots}",),
        )

    async def _allocation_steps(self, file: BasketFile, strategy: Strategy) -> list[Step]:
        path = f"{STRATEGIES}/{_id(strategy.id)}/brokers"
        stored = await self.api.listed(path)
        self._stored[strategy.id] = stored
        there = {each["account"]: each for each in stored}
        steps: list[Step] = []
        for table in self._allocations(strategy):
            found = there.pop(table["account"], None)
            if found is None:
                steps.append(_new_allocation(strategy.id, table))
                continue
            own = f"{path}/{_id(found['id'])}"
            steps += _changed(own, f"allocation {found['id']}", found, table, strategy=strategy.id)
        steps += [_gone_allocation(strategy.id, each) for each in there.values()]
        return steps

    def _allocations(self, strategy: Strategy) -> list[Table]:
        (file,) = (each for each in self.files if each.basket.id == strategy.basket_id)
        return [plain(allocation_table(each)) for each in file.of(strategy)]

    # ------------------------------------------------------------ changing

    async def _do(self, step: Step) -> None:
        headers = {} if step.version is None else {"If-Match": f'"{step.version}"'}
        body = None if step.body is None else wire(step.body)
        answer = await self.api.ask(step.method, step.path, body=body, headers=headers)
        made: Any = decoded(answer) if answer.content else {}
        if step.expected is not None and made["id"] != step.expected:
            raise Conflict(f"{step.what} was made as {made['id']}: somebody made one of its name meanwhile; delete one")
        for line in told(step):
            self.tell(line)
        for run in made.get("open_runs", ()):
            self.tell(f"    run {run['id']} goes on with version {run['version']}; this counts from the next entry")

    def _can_loosen(self, step: Step, loosened: Iterable[str]) -> bool:
        return step.strategy not in loosened and bool(self._stored.get(step.strategy))

    async def _loosen(self, strategy_id: str, pending: Sequence[Step]) -> list[Step]:
        """Take the strategy's allocations away; what is left to do then has all of them as new."""
        path = f"{STRATEGIES}/{_id(strategy_id)}/brokers"
        for each in await self.api.listed(path):
            await self._do(_gone_allocation(strategy_id, each))
        (strategy,) = (each for file in self.files for each in file.strategies if each.id == strategy_id)
        others = [step for step in pending if step.strategy != strategy_id or "/brokers" not in step.path]
        return others + [_new_allocation(strategy_id, table) for table in self._allocations(strategy)]


def told(step: Step) -> list[str]:
    """A step for a person."""
    return [f"{step.sign} {step.what}", *(f"    {each}" for each in step.details)]


def _accounts_of(files: Sequence[BasketFile]) -> list[BrokerAccount]:
    accounts: dict[str, BrokerAccount] = {}
    for account in (account for file in files for account in file.accounts):
        if accounts.setdefault(account.id, account) != account:
            raise Invalid(f"two files say different things of account {account.id}; write the same in both")
    baskets = [file.basket.id for file in files]
    for name in sorted({name for name in baskets if baskets.count(name) > 1}):
        raise Invalid(f"two files have the basket {name}; rename one", where="basket.name")
    return list(accounts.values())


def _account_step(account: BrokerAccount, stored: Table | None) -> Step | None:
    terms = {"charges_as": account.charges_as, "max_daily_loss": account.max_daily_loss}
    wanted = plain({key: value for key, value in terms.items() if value is not None})
    what = f"account {account.id}"
    if stored is None:
        body = {"id": account.id, "broker": account.broker} | wanted
        return Step(method="POST", path=ACCOUNTS, what=what, body=body, details=(f"at {account.broker}",))
    if stored["broker"] != account.broker:
        message = f"is at {stored['broker']} on the server and at {account.broker} in the file; rename one of them"
        raise Invalid(message, where=f"accounts: {account.id}")
    before = {key: stored[key] for key in terms if stored[key] is not None}
    return next(_changed(f"{ACCOUNTS}/{_id(account.id)}", what, before | {"version": stored["version"]}, wanted), None)


def _changed(path: str, what: str, stored: Table, wanted: Table, *, strategy: str = "") -> Iterator[Step]:
    found = differences(without_identity(stored), wanted)
    if found:
        yield Step(
            method="PUT",
            path=path,
            what=what,
            body=wanted,
            version=stored["version"],
            strategy=strategy,
            details=tuple(found),
        )


def _new_allocation(strategy_id: str, table: Table) -> Step:
    path, what = f"{STRATEGIES}/{_id(strategy_id)}/brokers", f"allocation {strategy_id}.{table['account']}"
    return Step(method="POST", path=path, what=what, body=table, strategy=strategy_id)


def _gone_allocation(strategy_id: str, stored: Table) -> Step:
    path = f"{STRATEGIES}/{_id(strategy_id)}/brokers/{_id(stored['id'])}"
    what = f"allocation {stored['id']}"
    return Step(method="DELETE", path=path, what=what, version=stored["version"], strategy=strategy_id)


def _rank(step: Step) -> int:
    if step.path.startswith(ACCOUNTS) or (step.method == "POST" and step.path == BASKETS):
        return 0
    return 1 + next(
        place for place, (method, path) in enumerate(_ORDER) if step.method == method and step.path.startswith(path)
    )


def _id(name: str) -> str:
    return quote(name, safe="~")
