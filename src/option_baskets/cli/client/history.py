"""The history at a server as the rows of the audit, so that one command shows both."""

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from option_baskets.cli.client.connection import Connection
from option_baskets.domain.errors import Invalid
from option_baskets.domain.ids import public_run_id, run_id_of
from option_baskets.engine.audit import Row


async def history(
    api: Connection, first: date, last: date, *, run: str, strategy: str, account: str
) -> AsyncIterator[Row]:
    """Every row of these days, the oldest first; what is empty asks for all. A run may be named in either form."""
    wanted = await _strategies(api, strategy) if strategy else frozenset[str]()
    query: dict[str, object] = {"from": first, "to": last, "order": "asc"}
    if len(wanted) == 1:
        (query["strategy_id"],) = wanted
    if account:
        query["account"] = account
    if run:
        query["run_id"] = _public(run)
    async for found in api.pages("/options/history", **query):
        row = _row(found)
        if not wanted or row.strategy in wanted:
            yield row


async def _strategies(api: Connection, name: str) -> frozenset[str]:
    """The ids of the strategies with this name or id; of one that was deleted the id itself."""
    named = {each["id"] async for each in api.pages("/options/strategies") if each["name"] == name}
    return frozenset(named or {name})


def _public(run: str) -> str:
    if run_id_of(run) is not None:
        return run
    try:
        return public_run_id(run)
    except ValueError:
        raise Invalid(f"{run!r} is no run; one is like 2026-11-24~income.condor~0", where="--run") from None


def _row(found: Mapping[str, Any]) -> Row:
    run = found["run_id"]
    return Row(
        time=datetime.fromisoformat(found["time"]),
        actor=found["actor"],
        what=found["what"],
        strategy=found["strategy_id"] or "",
        run=(run_id_of(run) or run) if run else "",
        account=found["account"] or "",
        leg=found["leg"] or "",
        contract=found["contract"] or "",
        side=found["side"] or "",
        quantity=found["quantity"],
        price=None if found["price"] is None else Decimal(found["price"]),
        cause=found["cause"] or "",
        order=found["order_id"] or "",
        detail=found["detail"] or "",
    )
