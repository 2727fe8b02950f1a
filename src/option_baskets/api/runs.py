"""Executions: the runs of strategies, and everything that became of each."""

from fastapi import APIRouter, Response

from option_baskets.api.filters import NO_RUN, PublicRun, StrategyFilter, stored_run
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.market_time import AnyDay, prices_now
from option_baskets.api.views_runs import RUN, SUMMARY, RunView, SummaryView, run_view
from option_baskets.domain.errors import NotFound
from option_baskets.domain.run import Run
from option_baskets.engine.past import runs_of_strategy
from option_baskets.engine.profits import charges_so_far
from option_baskets.store.books import Listed

router = APIRouter(tags=["executions"])


@router.get(
    "/options/executions",
    summary="List runs",
    responses=answers(
        Page[SummaryView],
        description="Runs, the newest day first.",
        example=Page(items=(SUMMARY,), next=None),
    ),
    response_model=None,
)
async def list_executions(
    asker: Asking, paging: Paged, date: AnyDay = None, strategy_id: StrategyFilter = None
) -> Response:
    """Runs of a day, of a strategy, or all; those that were skipped are among them, with the reason.

    The id of a run is `{date}~{strategy}~{cycle}`; it needs no escaping in a path.
    """
    books, user = asker.books, asker.user_id
    found: Listed[Run]
    if strategy_id is None:
        found = await books.runs_listed(user, day=date, after=paging.cursor, most=paging.limit)
    else:
        found = await runs_of_strategy(books, user, strategy_id, day=date, after=paging.cursor, most=paging.limit)
    items = tuple(map(SummaryView.of, found.items))
    return Answer(Page(items=items, next=paging.seal(found.after)))


@router.get(
    "/options/executions/{run_id}",
    summary="One run, whole",
    responses=answers(RunView, example=RUN),
    response_model=None,
)
async def get_execution(asker: Asking, run_id: PublicRun) -> Response:
    """A run with its resolved legs, what it waits for, what was not traded and why, its orders and fills, and what it
    made on each account: realised, unrealised at the prices known now, and charges."""
    books, user = asker.books, asker.user_id
    run = await books.run(user, stored_run(run_id))
    if run is None:
        raise NotFound(NO_RUN)
    orders = await books.orders_of_run(user, run.id)
    accounts = {account.id: account for account in await books.accounts(user)}
    charges = charges_so_far(asker.platform.facts, accounts, run, orders)
    market = None if run.is_flat else await prices_now(asker.platform)
    return Answer(run_view(run, orders, await books.fills_of_run(user, run.id), charges, market))
