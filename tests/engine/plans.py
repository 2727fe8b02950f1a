"""Plans, runs and orders for the store's tests."""

from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal

from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import Basket, LegSpec, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.exit_rules import Distance
from option_baskets.domain.ids import Action, intent_id, run_id
from option_baskets.domain.order import Intent, Order
from option_baskets.domain.run import LegPosition, Run
from option_baskets.domain.session import at

DAY = date(2026, 11, 24)
CALL = Contract(underlying="NIFTY", expiry=DAY, type=ContractType.CE, strike=Decimal(26000))


def instant(text: str) -> datetime:
    return at(DAY, time.fromisoformat(text))


def basket(name: str = "income", **changes: object) -> Basket:
    return replace(Basket(id=name, name=f"{name} ₹", capital=Decimal("500000.00")), **changes)  # type: ignore[arg-type]


def strategy(name: str = "straddle", basket_id: str = "income", entry: str = "09:20", exit_: str = "15:15") -> Strategy:
    return Strategy(
        id=name,
        basket_id=basket_id,
        name=f"{name} ü",
        underlying="NIFTY",
        schedule=Schedule(entry=time.fromisoformat(entry), exit=time.fromisoformat(exit_)),
        legs=(
            LegSpec(
                id="1",
                side=Side.SELL,
                type=ContractType.CE,
                strike=Strike(rule=StrikeRule.ATM, offset=0),
                stop=Distance(percent=Decimal(25)),
            ),
        ),
    )


def allocation(strategy_id: str = "straddle", account: str = "zerodha-1", priority: int = 0) -> Allocation:
    return Allocation(
        id=f"{strategy_id}.{account}", strategy_id=strategy_id, account=account, units=2, priority=priority
    )


def run(user_id: str = "asha", plan: Strategy | None = None, cycle: int = 0) -> Run:
    plan = plan or strategy()
    position = LegPosition(
        leg="1",
        account="zerodha-1",
        entry_number=0,
        contract=CALL,
        side=Side.SELL,
        lots=2,
        lot_size=75,
        freeze_quantity=1800,
        tick=Decimal("0.05"),
    )
    return Run(
        id=run_id(DAY, plan.id, cycle),
        user_id=user_id,
        date=DAY,
        cycle=cycle,
        basket=basket(plan.basket_id),
        strategy=plan,
        allocations=(allocation(plan.id),),
        entry_at=at(DAY, plan.schedule.entry),
        exit_at=at(DAY, plan.schedule.exit),
        positions=(position,),
    )


def order(of: Run, decided_at: datetime, attempt: int = 0) -> Order:
    identity = intent_id(
        user_id=of.user_id,
        run=of.id,
        leg="1",
        account="zerodha-1",
        entry_number=0,
        action=Action.ENTER,
        attempt=attempt,
    )
    intent = Intent(
        id=identity,
        user_id=of.user_id,
        run_id=of.id,
        strategy_id=of.strategy.id,
        leg="1",
        account="zerodha-1",
        entry_number=0,
        action=Action.ENTER,
        attempt=attempt,
        slice_number=0,
        contract=CALL,
        side=Side.SELL,
        quantity=150,
        limit=Decimal("101.05"),
        decided_at=decided_at,
    )
    return Order(intent=intent, updated_at=decided_at)
