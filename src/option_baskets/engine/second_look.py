"""A look at the broker before an order leaves of which the journal may not know all: is it there, would it be too much?

That is so for exits on the second path, and for an order whose tag the broker showed before we meant to send it: a
store that was restored, or lost its end.
"""

from option_baskets.domain.errors import Refused, Unavailable, Unclear
from option_baskets.domain.ids import Action
from option_baskets.domain.order import Intent, OrderReport
from option_baskets.domain.reasons import Reason
from option_baskets.engine.lines import Lines, account_of
from option_baskets.engine.runs import OpenRuns


async def found_at_broker(intent: Intent, lines: Lines, runs: OpenRuns) -> OrderReport | None:
    """What the broker says of the order if it has it already; None: it may be placed, and an exit turns nothing round.

    Raises:
        Refused: the broker's position leaves less to close than the order would, or its order of that tag is another.
        Unavailable: the broker cannot be read; nothing happened.
    """
    broker = lines.broker(intent)
    try:
        reports = await broker.orders()
        positions = await broker.positions()
    except Unclear as error:
        raise Unavailable(str(error)) from error
    for report in reports:
        if report.tag == intent.id:
            if (report.contract, report.side, report.quantity) != (intent.contract, intent.side, intent.quantity):
                raise Refused(Reason.EXTERNAL_POSITION, f"{intent.account} has another order {intent.id} already")
            return report
    if intent.action is Action.ENTER:
        return None
    left = positions.get(intent.contract, 0) - _others(intent, runs)
    if intent.side.sign * left >= 0 or intent.quantity > abs(left):
        raise Refused(
            Reason.EXTERNAL_POSITION,
            f"{intent.account} holds {left:+d} {intent.contract.name} of it at the broker: {intent.side} "
            f"{intent.quantity} would turn that round",
        )
    return None


def _others(intent: Intent, runs: OpenRuns) -> int:
    """Units of the contract that our other positions on the account are made of."""
    mine = (intent.run_id, intent.leg, intent.account, intent.entry_number)
    return sum(
        position.open * position.side.sign
        for run in runs.in_hand()
        for position in run.positions
        if (run.user_id, position.account) == account_of(intent)
        and position.contract == intent.contract
        and (run.id, *position.key) != mine
    )
