"""The account of a day: what was traded, why, and what is left after charges. Made from the store alone.

Amounts are exact until they are written; a charge without a known rate makes charges and net unknown, never 0.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from option_baskets.domain.basket import BrokerAccount
from option_baskets.domain.charges import UNKNOWN, Charges, day_rounding, order_charges
from option_baskets.domain.contract import Contract
from option_baskets.domain.dynamic import UnitsOfDay
from option_baskets.domain.external import External
from option_baskets.domain.facts import Facts
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.losses import Over
from option_baskets.domain.money import ZERO, price, rupees
from option_baskets.domain.order import Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import IST
from option_baskets.domain.settlement import settlement_charges
from option_baskets.engine.attribution import is_on, orders_on, realised, runs_of, settled_on
from option_baskets.engine.dynamic_report import given_as_json, units_as_json
from option_baskets.store.books import Alert, Books, Fence, Refusal

SCHEMA = 1
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """Rupees. ``charges`` is None where a rate is unknown."""

    gross: Decimal
    charges: Decimal | None

    @property
    def net(self) -> Decimal | None:
        return None if self.charges is None else self.gross - self.charges

    def __add__(self, other: "Profit") -> "Profit":
        known = None if self.charges is None or other.charges is None else self.charges + other.charges
        return Profit(gross=self.gross + other.gross, charges=known)


NOTHING = Profit(gross=ZERO, charges=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAccount:
    """A run with its profit on every account, in order of the account's first leg."""

    run: Run
    profits: Mapping[str, Profit]
    unknown: tuple[str, ...]
    """Charges without a known rate."""

    @property
    def profit(self) -> Profit:
        return sum(self.profits.values(), NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRecord:
    """One session, accounted for."""

    date: date
    events: Mapping[str, int]
    runs: tuple[RunAccount, ...]
    orders: int
    """Orders handed to a broker."""
    rounding: Mapping[str, Decimal | None]
    """Per account: what rounding STT and stamp duty to the rupee adds on the day's contract note."""
    refusals: tuple[Refusal, ...]
    alerts: tuple[Alert, ...]
    fences: tuple[Fence, ...] = ()
    """Where nothing more was entered that day, and what was open was closed."""
    units: tuple[UnitsOfDay, ...] = ()
    """How policies divided units for the day."""

    @property
    def profit(self) -> Profit:
        """Gross, charges and net of the day, the accounts' rounding included."""
        total = sum((run.profit for run in self.runs), NOTHING)
        for amount in self.rounding.values():
            total += Profit(gross=ZERO, charges=amount)
        return total


async def record_of(
    books: Books,
    facts: Facts,
    accounts: Mapping[str, BrokerAccount],
    *,
    user_id: str,
    day: date,
    with_charges: bool = True,
) -> DayRecord:
    """The record of one user's day, from the store."""
    runs = await runs_of(books, user_id, day)
    orders = {run.id: orders_on(await books.orders_of_run(user_id, run.id), day) for run in runs}
    events: Counter[str] = Counter()
    for mark in await books.last_ticks(day):
        events.update(mark.events)
    notes: defaultdict[str, list[Charges]] = defaultdict(list)
    accounted = []
    for run in runs:
        charged = charges_of(facts, accounts, orders[run.id], settled_on(run, day)) if with_charges else {}
        for account, charges in charged.items():
            notes[account] += charges
        accounted.append(accounted_on(run, orders[run.id], day, charged))
    return DayRecord(
        date=day,
        events=dict(sorted(events.items())),
        runs=tuple(accounted),
        orders=sum(1 for each in orders.values() for order in each if order.limit is not None),
        rounding={account: day_rounding(charges) for account, charges in sorted(notes.items())},
        refusals=tuple(await books.refusals(user_id, day)),
        alerts=tuple(await books.alerts(user_id, day)),
        fences=tuple(sorted(await books.fences(user_id, day), key=lambda fence: (fence.at, fence.subject))),
        units=await _units_of(books, user_id, day),
    )


async def _units_of(books: Books, user_id: str, day: date) -> tuple[UnitsOfDay, ...]:
    """Those of the policies there are now, by basket, in the order of its file."""
    policies = [(basket.id, policy.id) for basket in await books.baskets(user_id) for policy in basket.dynamic]
    found = [await books.units(user_id, basket, policy, day) for basket, policy in policies]
    return tuple(record for record in found if record is not None and record.date == day)


def charges_of(
    facts: Facts,
    accounts: Mapping[str, BrokerAccount],
    orders: Iterable[Order],
    positions: Iterable[LegPosition] = (),
) -> dict[str, list[Charges]]:
    """The charges of every filled order and of every position that settled, by account.

    Flat brokerage is once an order however often it was filled. Of an account that is gone no rate is known.
    """
    charged: defaultdict[str, list[Charges]] = defaultdict(list)
    for order in orders:
        intent = order.intent
        if order.filled:
            account = accounts.get(intent.account)
            charged[intent.account].append(UNKNOWN if account is None else _order_charges(facts, account, order))
    for position in positions:
        if position.settlement is not None:
            charged[position.account].append(
                settlement_charges(facts, position.contract, position.side, position.settlement)
            )
    return charged


def _order_charges(facts: Facts, account: BrokerAccount, order: Order) -> Charges:
    intent = order.intent
    return order_charges(
        facts,
        broker=account.charges_as,
        exchange=exchange_of(facts, intent.contract.underlying),
        type=intent.contract.type,
        side=intent.side,
        quantity=order.filled,
        value=order.value,
        on=intent.decided_at.astimezone(IST).date(),
    )


def accounted_on(run: Run, orders: Sequence[Order], day: date, charged: Mapping[str, Sequence[Charges]]) -> RunAccount:
    """What the run made on a day. ``orders`` are its orders of that day, ``charged`` what they and settlements cost."""
    profits: dict[str, Profit] = {}
    for position in run.positions:
        gross = Profit(gross=realised(position, orders, day), charges=ZERO)
        profits[position.account] = profits.get(position.account, NOTHING) + gross
    unknown: set[str] = set()
    for account, charges in charged.items():
        for each in charges:
            profits[account] = profits.get(account, NOTHING) + Profit(gross=ZERO, charges=each.total)
            unknown.update(each.unknown)
    return RunAccount(run=run, profits=profits, unknown=tuple(sorted(unknown)))


# ---------------------------------------------------------------- as JSON (docs/replay-json.md)


def as_json(days: Sequence[DayRecord]) -> Json:
    """The record of several sessions in the documented form: exact decimals as strings, ISO 8601 times with offset."""
    last = days[-1].date if days else None
    total = sum((day.profit for day in days), NOTHING)
    return {
        "schema": SCHEMA,
        "sessions": [_day(day, with_open=day.date == last) for day in days],
        "totals": {
            "sessions": len(days),
            "runs": sum(1 for day in days for each in day.runs if each.run.date == day.date),
            "orders": sum(day.orders for day in days),
            **_profit(total),
        },
    }


def _day(day: DayRecord, *, with_open: bool) -> Json:
    return {
        "date": day.date.isoformat(),
        "events": dict(day.events),
        "runs": [_run(run, day.date, with_open=with_open) for run in day.runs],
        "orders": day.orders,
        "rounding": {account: _rupees(amount) for account, amount in day.rounding.items()},
        "refused": [_refusal(refusal) for refusal in day.refusals],
        "alerts": [_alert(alert) for alert in day.alerts],
        "fences": [_fence(fence) for fence in day.fences],
        "dynamic": [units_as_json(record) for record in day.units],
        **_profit(day.profit),
    }


def _run(record: RunAccount, day: date, *, with_open: bool) -> Json:
    run = record.run
    number = {leg.id: index for index, leg in enumerate(run.strategy.legs)}
    entered = sorted(
        (leg for leg in run.positions if leg.entered),
        key=lambda leg: (number[leg.leg], _time(leg.entry_time) or "", leg.account, leg.entry_number),
    )
    legs = [leg for leg in entered if (with_open if leg.open else is_on(leg.exit_time, day))]
    return {
        "basket": run.basket.name,
        "strategy": run.strategy.name,
        "entered_on": run.date.isoformat(),
        "cycle": run.cycle,
        "status": run.status,
        "reason": run.reason,
        "detail": run.detail,
        "dynamic": given_as_json(run.dynamic),
        "legs": [_leg(leg) for leg in legs],
        "carried": [_carried(leg) for leg in entered if leg.open],
        "settled": [_settled(leg) for leg in settled_on(run, day)],
        "external": [_external(leg, each) for leg in entered for each in leg.external if is_on(each.at, day)],
        "not_traded": [
            {
                "leg": short.leg,
                "account": short.account,
                "quantity": short.quantity,
                "reason": short.reason,
                "detail": short.detail,
            }
            for short in run.shortfalls
        ],
        "accounts": [{"account": account, **_profit(profit)} for account, profit in record.profits.items()],
        "charge_unknown": list(record.unknown),
        **_profit(record.profit),
    }


def _leg(leg: LegPosition) -> Json:
    return {
        "leg": leg.leg,
        "contract": _contract(leg.contract),
        "side": leg.side,
        "account": leg.account,
        "entry_number": leg.entry_number,
        "lots": leg.lots,
        "quantity": leg.entered,
        "entry_time": _time(leg.entry_time),
        "entry_price": _price(leg.entry_price),
        "exit_time": None if leg.open else _time(leg.exit_time),
        "exit_price": None if leg.open else _price(leg.exit_price),
        "exit_reason": None if leg.open else leg.exit_reason,
        "gross": _rupees(leg.gross),
    }


def _carried(leg: LegPosition) -> Json:
    """What is held after the day, at the last price known at its close."""
    return {
        "leg": leg.leg,
        "contract": _contract(leg.contract),
        "side": leg.side,
        "account": leg.account,
        "entry_number": leg.entry_number,
        "quantity": leg.open,
        "entry_time": _time(leg.entry_time),
        "entry_price": _price(leg.entry_price),
        "mark": _price(leg.mark),
        "unrealised": None if leg.mark is None else _rupees(leg.unrealised(leg.mark)),
    }


def _settled(leg: LegPosition) -> Json:
    """What expired and was settled in cash, without an order."""
    settlement = leg.settlement
    assert settlement is not None
    return {
        "leg": leg.leg,
        "contract": _contract(leg.contract),
        "side": leg.side,
        "account": leg.account,
        "entry_number": leg.entry_number,
        "quantity": settlement.quantity,
        "index": _price(settlement.index),
        "price": _price(settlement.price),
        "value": _rupees(settlement.value),
        "at": _time(settlement.at),
    }


def _external(leg: LegPosition, external: External) -> Json:
    """What was closed without an order of ours, at the last price known."""
    return {
        "leg": leg.leg,
        "contract": _contract(leg.contract),
        "side": leg.side,
        "account": leg.account,
        "entry_number": leg.entry_number,
        "quantity": external.quantity,
        "price": _price(external.price),
        "priced_at": _time(external.priced_at),
        "at": _time(external.at),
    }


def _contract(contract: Contract) -> Json:
    return {
        "underlying": contract.underlying,
        "expiry": contract.expiry.isoformat(),
        "strike": None if contract.strike is None else f"{contract.strike.normalize():f}",
        "type": contract.type,
    }


def _refusal(refusal: Refusal) -> Json:
    return {
        "at": _time(refusal.at),
        "strategy": refusal.strategy_id,
        "account": refusal.account or None,
        "leg": refusal.leg or None,
        "quantity": refusal.quantity,
        "reason": refusal.reason,
        "detail": refusal.detail,
    }


def _alert(alert: Alert) -> Json:
    return {
        "at": _time(alert.at),
        "level": alert.level,
        "code": alert.code,
        "strategy": alert.strategy_id or None,
        "account": alert.account or None,
        "message": alert.message,
    }


def _fence(fence: Fence) -> Json:
    over, name, account = fence.subject
    return {
        "at": _time(fence.at),
        "over": over,
        "account": name if over is Over.ACCOUNT else account or None,
        "basket": name if over is Over.BASKET else None,
        "strategy": name if over is Over.ALLOCATION else None,
        "rule": fence.rule,
        "loss": _rupees(fence.loss),
        "limit": _rupees(fence.limit),
    }


def _profit(profit: Profit) -> dict[str, str | None]:
    return {"gross": _rupees(profit.gross), "charges": _rupees(profit.charges), "net": _rupees(profit.net)}


def _rupees(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{rupees(amount):f}"


def _price(value: Decimal | None) -> str | None:
    return None if value is None else f"{price(value):f}"


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(IST).isoformat()
