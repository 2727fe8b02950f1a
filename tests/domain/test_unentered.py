"""A run that waits: the status it has, what ends its waiting, and the record of what never came."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from option_baskets.domain.contract import Contract, ContractType, Listing, Side
from option_baskets.domain.pending import Cause, Pending
from option_baskets.domain.reasons import ExitReason, Reason
from option_baskets.domain.rules import Check, ExitDemanded, step
from option_baskets.domain.run import LegPosition, Run, RunStatus, settled
from option_baskets.domain.unentered import not_entered
from tests.engine.plans import CALL, instant, run
from tests.engine.small_market import SmallMarket, SmallSnapshot, chain

LOT = 75
NOW = instant("10:00")


def snapshot(at: datetime = NOW) -> SmallSnapshot:
    market = SmallMarket(chain("NIFTY", CALL.expiry, [25900, 26000, 26100], lot_size=LOT))
    market.set("NIFTY", instant("09:20"), 26010)
    market.set(CALL, at, 100)
    return market.view(at)


def awaited(leg: str = "1", account: str = "one", cause: Cause = Cause.WAIT, **changes: object) -> Pending:
    pending = Pending(
        leg=leg,
        account=account,
        entry_number=0,
        side=Side.SELL,
        lots=2,
        cause=cause,
        contract=CALL,
        detail="100 or less",
    )
    return replace(pending, **changes)  # type: ignore[arg-type]


def waiting(*pending: Pending, positions: tuple[LegPosition, ...] = ()) -> Run:
    return replace(run(), status=RunStatus.WAITING, pending=pending, positions=positions)


def held(**changes: object) -> LegPosition:
    position = replace(
        run().positions[0], account="one", entered=150, entered_value=Decimal(15000), entry_time=NOW, entry_final=True
    )
    return replace(position, **changes)  # type: ignore[arg-type]


def closed(reason: ExitReason = ExitReason.STOP) -> LegPosition:
    return held(exited=150, exited_value=Decimal(15000), exit_time=NOW, exit_reason=reason)


# ---------------------------------------------------------------- status


def test_a_run_is_active_while_it_holds_something_whatever_it_waits_for() -> None:
    assert settled(waiting(awaited(), positions=(held(),))).status is RunStatus.ACTIVE


def test_a_flat_run_that_waits_is_waiting_and_not_closed() -> None:
    assert (
        settled(replace(waiting(awaited(), positions=(closed(),)), status=RunStatus.ACTIVE)).status is RunStatus.WAITING
    )


def test_once_it_waits_for_nothing_it_is_closed() -> None:
    assert settled(waiting(positions=(closed(),))).status is RunStatus.CLOSED


def test_a_run_that_only_waited_is_skipped() -> None:
    after = settled(waiting())
    assert (after.status, after.reason) == (RunStatus.SKIPPED, Reason.NOT_TRIGGERED)
    assert after.detail


def test_before_its_minute_a_run_is_scheduled_whatever_it_holds() -> None:
    scheduled = replace(run(), positions=())
    assert settled(scheduled) is scheduled


def test_while_an_entry_is_under_way_nothing_is_settled() -> None:
    entering = waiting(awaited(), positions=(closed(), held(entered=75, entry_final=False, entry_number=1)))
    assert settled(entering) is entering


# ---------------------------------------------------------------- what ends it


def test_at_the_exit_nothing_is_waited_for_and_what_never_came_is_recorded() -> None:
    before = replace(waiting(awaited()), exit_at=NOW)
    after, decisions = step(before, Check(at=NOW), snapshot())
    assert (after.pending, decisions) == ((), ())
    (short,) = after.shortfalls
    assert (short.leg, short.account, short.quantity) == ("1", "one", 2 * LOT)
    assert (short.reason, short.detail, short.at) == (Reason.NOT_TRIGGERED, "100 or less", NOW)
    assert settled(after).status is RunStatus.SKIPPED
    assert settled(after).detail == "100 or less"


def test_what_was_due_at_the_exit_came_too_late() -> None:
    before = replace(waiting(awaited(due=NOW)), exit_at=NOW)
    (short,) = step(before, Check(at=NOW), snapshot())[0].shortfalls
    assert short.reason is Reason.AT_OR_AFTER_EXIT


def test_an_entry_again_that_nothing_set_off_was_never_intended() -> None:
    before = replace(waiting(awaited(cause=Cause.REENTRY, entry_number=1), positions=(closed(),)), exit_at=NOW)
    after, _ = step(before, Check(at=NOW), snapshot())
    assert (after.pending, after.shortfalls) == ((), ())
    assert settled(after).status is RunStatus.CLOSED


@pytest.mark.parametrize(("reason", "told"), [(ExitReason.KILL, Reason.KILLED), (ExitReason.MANUAL, Reason.CANCELLED)])
def test_an_exit_that_was_asked_for_ends_waiting_on_its_account_alone(reason: ExitReason, told: Reason) -> None:
    before = waiting(awaited(), awaited(account="two"))
    after, _ = step(before, ExitDemanded(at=NOW, reason=reason, account="one"), snapshot())
    assert [each.account for each in after.pending] == ["two"]
    assert [(each.account, each.reason) for each in after.shortfalls] == [("one", told)]
    after, _ = step(before, ExitDemanded(at=NOW, reason=reason), snapshot())
    assert after.pending == ()


def test_unwinding_a_batch_closes_it_alone_and_ends_no_waiting() -> None:
    before = waiting(awaited(leg="2"), positions=(held(), held(entry_number=1, batch=1), held(entry_number=2, batch=2)))
    demand = ExitDemanded(at=NOW, reason=ExitReason.UNWIND, account="one", batch=1)
    after, decisions = step(before, demand, snapshot())
    assert [decision.position for decision in decisions if hasattr(decision, "position")] == [("1", "one", 1)]
    assert [each.exit_reason for each in after.positions] == [None, ExitReason.UNWIND, None]
    assert after.pending == before.pending


def test_units_of_a_contract_that_is_not_chosen_yet_are_those_of_any_it_could_be() -> None:
    before = replace(waiting(awaited(contract=None, cause=Cause.RANGE)), exit_at=NOW)
    (short,) = step(before, Check(at=NOW), snapshot())[0].shortfalls
    assert short.quantity == 2 * LOT


def test_units_of_an_expiry_that_lists_its_future_alone_are_those_of_the_future() -> None:
    future = Listing(
        contract=Contract(underlying="NIFTY", expiry=CALL.expiry, type=ContractType.FUT),
        lot_size=LOT,
        tick=Decimal("0.05"),
    )
    view = SmallMarket([future]).view(NOW)
    short = not_entered(
        [awaited(contract=None, due=NOW)], waiting().strategy, view, Reason.NOT_LISTED, NOW, "no strike is listed"
    )
    assert [each.quantity for each in short] == [2 * LOT]
