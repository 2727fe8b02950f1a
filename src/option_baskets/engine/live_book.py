"""One user's day as the live stream has it in memory: read from the store once, and kept up by what is written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Self

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.charges import Charges
from option_baskets.domain.contract import Contract
from option_baskets.domain.events import MarketPhase
from option_baskets.domain.facts import Facts
from option_baskets.domain.order import Order
from option_baskets.domain.run import Run
from option_baskets.domain.session import IST
from option_baskets.engine.attribution import is_on, settled_on
from option_baskets.engine.live import Value, Written, alert_told, order_told, run_told
from option_baskets.engine.live_format import (
    price_or_none,
    run_id_told,
    rupees_or_none,
    rupees_told,
)
from option_baskets.engine.live_messages import (
    AccountMade,
    AlertTold,
    Amounts,
    BasketMade,
    GreeksMessage,
    PartMade,
    PositionGreeks,
    PositionMade,
    ProfitMessage,
    Sensitivities,
    SnapshotMessage,
    StrategyGreeks,
    UnderlyingGreeks,
)
from option_baskets.engine.positions import Greeks, Marks, Open, open_legs
from option_baskets.engine.profits import Made, added_up, traded_on
from option_baskets.engine.report import charges_of
from option_baskets.store.books import Books
from option_baskets.store.records import Alert

_DIGITS = 6
"""Of a Greek behind the point."""


@dataclass(slots=True, kw_only=True)
class LiveBook:
    """Runs of the day and what is open of earlier ones, the day's orders and alerts, and what they come to."""

    facts: Facts
    day: date
    accounts: dict[str, BrokerAccount] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    orders: defaultdict[str, dict[str, Order]] = field(default_factory=lambda: defaultdict(dict))
    """Of the day, by run and id."""
    alerts: dict[str, AlertTold] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    """Names of what has no version: it is told once."""
    _charged: dict[str, Mapping[str, Sequence[Charges]]] = field(default_factory=dict)
    """By run, as long as neither it nor its orders change: charges cost more than all the rest."""

    @classmethod
    async def load(cls, books: Books, facts: Facts, *, user_id: str, day: date) -> Self:
        book = cls(facts=facts, day=day)
        book.accounts = {account.id: account for account in await books.accounts(user_id)}
        runs, orders = await traded_on(books, user_id, day, goes_on=True)
        book.runs = {run.id: run for run in runs}
        for run_id, some in orders.items():
            book.orders[run_id] = {order.intent.id: order for order in some}
        for alert in await books.alerts(user_id, day):
            name = books.put_alert(alert).item.sk
            book.alerts[name] = alert_told(alert, name)
        book._seen = set(book.alerts)
        return book

    # ------------------------------------------------------------ kept up

    def take(self, written: Written) -> bool:
        """Take in what was written; False where it says nothing new: an older version, or a second time the same."""
        value: Value = written.value
        if isinstance(value, Order):
            of_run = self.orders[value.intent.run_id]
            known = of_run.get(value.intent.id)
            if known is not None and known.version >= value.version:
                return False
            if is_on(value.intent.decided_at, self.day):
                of_run[value.intent.id] = value
            self._charged.pop(value.intent.run_id, None)
        elif isinstance(value, Run):
            before = self.runs.get(value.id)
            if before is not None and before.version >= value.version:
                return False
            self.runs[value.id] = value
            self._charged.pop(value.id, None)
        else:
            if written.name in self._seen:
                return False
            self._seen.add(written.name)
            if isinstance(value, Alert):
                self.alerts[written.name] = alert_told(value, written.name)
        return True

    def learn(self, account: BrokerAccount) -> None:
        """Its charges may be others than before."""
        self.accounts[account.id] = account
        self._charged.clear()

    def turn(self, day: date) -> None:
        """Another day begins: what was over on an earlier one counts no more."""
        if day == self.day:
            return
        self.day = day
        self.runs = {key: run for key, run in self.runs.items() if run.date == day or not run.status.is_over}
        self.orders.clear()
        self.alerts.clear()
        self._seen.clear()
        self._charged.clear()

    @property
    def is_open(self) -> bool:
        """Whether anything is held, so that its profit moves with the market."""
        return any(position.open for run in self.runs.values() for position in run.positions)

    def contracts(self) -> set[Contract]:
        """What is held."""
        return {position.contract for run in self.runs.values() for position in run.positions if position.open}

    # ------------------------------------------------------------ as told

    def snapshot(self, marks: Marks, at: datetime, *, phase: MarketPhase, epoch: str, seq: int) -> SnapshotMessage:
        orders = [order for some in self.orders.values() for order in some.values() if not order.state.is_final]
        pnl, greeks = self.valued(marks, at)
        return SnapshotMessage(
            seq=seq,
            at=at.astimezone(IST),
            epoch=epoch,
            date=self.day,
            phase=phase,
            runs=tuple(run_told(run) for _, run in sorted(self.runs.items())),
            orders=tuple(map(order_told, sorted(orders, key=lambda order: (order.intent.decided_at, order.intent.id)))),
            alerts=tuple(alert for _, alert in sorted(self.alerts.items())),
            pnl=pnl,
            greeks=greeks,
        )

    def valued(self, marks: Marks, at: datetime) -> tuple[ProfitMessage, GreeksMessage]:
        """What the day has made so far, and what is open in sensitivities."""
        held = [marks.of(run, position) for run, position in open_legs(self.runs.values())]
        return self._profit(marks, at, held), _greeks(marks, at, held)

    def _profit(self, marks: Marks, at: datetime, held: Sequence[Open]) -> ProfitMessage:
        orders = {run_id: list(some.values()) for run_id, some in self.orders.items()}
        charged = {run.id: self._charges(run) for run in self.runs.values()}
        runs = [run for _, run in sorted(self.runs.items())]
        profits = added_up(self.day, runs, orders, charged, marks.market)
        return ProfitMessage(
            at=at.astimezone(IST),
            date=self.day,
            total=_amounts(profits.total),
            strategies=tuple(
                PartMade(
                    basket_id=part.basket_id,
                    strategy_id=part.strategy_id,
                    account=part.account,
                    made=_amounts(part.made),
                )
                for part in profits.parts
            ),
            baskets=tuple(
                BasketMade(basket_id=basket, made=_amounts(made))
                for (basket,), made in profits.by(lambda part: (part.basket_id,)).items()
            ),
            accounts=tuple(
                AccountMade(account=account, made=_amounts(made))
                for (account,), made in profits.by(lambda part: (part.account,)).items()
            ),
            positions=tuple(map(_made, held)),
        )

    def _charges(self, run: Run) -> Mapping[str, Sequence[Charges]]:
        known = self._charged.get(run.id)
        if known is None:
            orders = self.orders[run.id].values()
            known = self._charged[run.id] = charges_of(self.facts, self.accounts, orders, settled_on(run, self.day))
        return known


def _greeks(marks: Marks, at: datetime, held: Sequence[Open]) -> GreeksMessage:
    """A sum over what has none is unknown."""
    by_strategy: defaultdict[tuple[str, str], list[Greeks | None]] = defaultdict(list)
    by_underlying: defaultdict[str, list[Greeks | None]] = defaultdict(list)
    for each in held:
        underlying = each.position.contract.underlying
        by_strategy[each.run.strategy.id, underlying].append(each.greeks)
        by_underlying[underlying].append(each.greeks)
    spots = {name: marks.market.spot(name) for name in by_underlying} if marks.market is not None else {}
    return GreeksMessage(
        at=at.astimezone(IST),
        underlyings=tuple(
            UnderlyingGreeks(
                underlying=name,
                spot=None if (spot := spots.get(name)) is None else f"{spot.last:f}",
                greeks=_sum(parts),
            )
            for name, parts in sorted(by_underlying.items())
        ),
        strategies=tuple(
            StrategyGreeks(strategy_id=strategy, underlying=underlying, greeks=_sum(parts))
            for (strategy, underlying), parts in sorted(by_strategy.items())
        ),
        positions=tuple(
            PositionGreeks(
                run_id=run_id_told(each.run.id) or "",
                leg=each.position.leg,
                account=each.position.account,
                entry_number=each.position.entry_number,
                greeks=_sum([each.greeks]),
            )
            for each in held
        ),
    )


def _amounts(made: Made) -> Amounts:
    return Amounts(
        realised=rupees_told(made.realised),
        unrealised=rupees_or_none(made.unrealised),
        charges=rupees_or_none(made.charges),
        net=rupees_or_none(made.net),
        mtm=rupees_or_none(made.mtm),
    )


def _made(each: Open) -> PositionMade:
    return PositionMade(
        run_id=run_id_told(each.run.id) or "",
        leg=each.position.leg,
        account=each.position.account,
        entry_number=each.position.entry_number,
        price=price_or_none(each.mark),
        unrealised=rupees_or_none(each.unrealised),
    )


def _sum(parts: Iterable[Greeks | None]) -> Sensitivities | None:
    """None where one is unknown."""
    delta = gamma = theta = vega = 0.0
    for part in parts:
        if part is None:
            return None
        delta, gamma, theta, vega = delta + part.delta, gamma + part.gamma, theta + part.theta, vega + part.vega
    return Sensitivities(
        delta=round(delta, _DIGITS), gamma=round(gamma, _DIGITS), theta=round(theta, _DIGITS), vega=round(vega, _DIGITS)
    )
