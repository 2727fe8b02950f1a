"""Charges of a run's fills so far, for the rules and limits that read net profit."""

from collections.abc import Mapping
from decimal import Decimal

from option_baskets.domain.money import ZERO
from option_baskets.domain.run import Run
from option_baskets.engine.report import charges_of
from option_baskets.engine.trading import Trading


async def accrued(trading: Trading, run: Run) -> Mapping[str, Decimal]:
    """Rupees by account. Computed once a version of the run, as every fill makes a new one.

    A charge without a known rate counts nothing and is alerted once: it must not keep a stop from firing.
    """
    key = (run.user_id, run.id)
    known = trading.guard.accrued.get(key)
    if known is not None and known[0] == run.version:
        return known[1]
    accounts = {account: each for (user, account), each in trading.accounts.items() if user == run.user_id}
    found: dict[str, Decimal] = {}
    for account, charges in charges_of(trading.facts, accounts, trading.desk.of_run(key), run.positions).items():
        amounts = [amount for order in charges for amount in order.components.values()]
        found[account] = sum((amount for amount in amounts if amount is not None), ZERO)
        if None in amounts:
            await _alert(trading, run, account, {name for order in charges for name in order.unknown})
    trading.guard.accrued[key] = (run.version, found)
    return found


async def _alert(trading: Trading, run: Run, account: str, unknown: set[str]) -> None:
    subject = f"charges of {run.id}"
    said = ((run.user_id, account), subject)
    if said in trading.alerted:
        return
    trading.alerted.add(said)
    names = ", ".join(sorted(unknown))
    await trading.alert(
        run.user_id,
        "charge_unknown",
        f"the net profit of {run.strategy.name} on {account} is without {names}: no rate is known",
        strategy_id=run.strategy.id,
        run_id=run.id,
        account=account,
        subject=subject,
    )
