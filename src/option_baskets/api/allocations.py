"""Allocations: how many lots of a strategy go to which broker account."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from option_baskets.adapters.basket_file.changes import read_allocation
from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, VERSIONED
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, is_known, require_match
from option_baskets.api.http.pages import Paged
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_answers import PlanAnswer, allocation_view, plan_answers, plan_body, unchanged, versioned
from option_baskets.api.plan_store import as_users, found, in_use, known, once, open_runs, stored_around
from option_baskets.api.scheduling import scheduled
from option_baskets.api.strategies import StrategyId, stored_strategy
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.errors import NotFound
from option_baskets.store.edits import Change, Standing

router = APIRouter(tags=["allocations"], route_class=RepeatableRoute)

AllocationId = Annotated[
    str, Path(description="Made from its strategy's id and its account.", examples=["income.condor.zerodha-1"])
]


@router.get(
    "/options/strategies/{strategy_id}/brokers",
    summary="List the allocations of a strategy",
    responses=plan_answers("AllocationPage", "Its allocations, sorted by id.", etag=False),
    response_model=None,
)
async def list_allocations(asker: Asking, paging: Paged, strategy_id: StrategyId) -> Response:
    """Where the lots of the strategy go, a page at a time."""
    strategy = await stored_strategy(asker, strategy_id)
    allocations = await asker.books.current_allocations(asker.user_id, strategy.id)
    return PlanAnswer(paging.of(allocations, lambda each: each.id, allocation_view))


@router.post(
    "/options/strategies/{strategy_id}/brokers",
    status_code=201,
    summary="Allocate lots to an account",
    responses=plan_answers(
        "StoredAllocation",
        "The allocation.",
        status=201,
        problems=CHANGES,
        links=("get_allocation", "replace_allocation", "delete_allocation"),
        strategy_id="strategy_id",
        allocation_id="id",
    ),
    openapi_extra=plan_body("NewAllocation"),
    response_model=None,
)
async def create_allocation(asker: Asking, request: Request, strategy_id: StrategyId) -> Response:
    """The body is one `[[strategies.allocations]]` table of a basket file as JSON. A strategy has at most one to an
    account; without a priority the new one comes last."""
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        strategy, stored = await stored_around(asker, standing, strategy_id)
        return Change(allocations=(read_allocation(body, None, strategy, stored, known(asker)),))

    (made,) = (await asker.books.save_plans(asker.user_id, decide, once=await once(asker))).allocations
    await scheduled(asker, strategy_id)
    return versioned(allocation_view(made), status=201, location=_path(made))


@router.get(
    "/options/strategies/{strategy_id}/brokers/{allocation_id}",
    summary="One allocation",
    responses=plan_answers("StoredAllocation", "The allocation as it is stored.", unchanged=True),
    response_model=None,
)
async def get_allocation(
    asker: Asking, request: Request, strategy_id: StrategyId, allocation_id: AllocationId, _: IfNoneMatch = None
) -> Response:
    """The allocation, with its version as ETag."""
    allocation = await _stored(asker, strategy_id, allocation_id)
    if is_known(request, allocation.version):
        return unchanged(allocation.version)
    return versioned(allocation_view(allocation))


@router.put(
    "/options/strategies/{strategy_id}/brokers/{allocation_id}",
    summary="Change an allocation",
    responses=plan_answers("StoredAllocation", "The allocation as it is now.", problems=CHANGES + VERSIONED),
    openapi_extra=plan_body("AllocationEdit"),
    response_model=None,
)
async def replace_allocation(
    asker: Asking, request: Request, strategy_id: StrategyId, allocation_id: AllocationId, if_match: IfMatch = None
) -> Response:
    """The body replaces the allocation whole; it stays on its account, and keeps its priority where none is given. It
    counts from the next entry."""
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        strategy, stored = await stored_around(asker, standing, strategy_id)
        before = next((each for each in stored.of(strategy) if each.id == allocation_id), None)
        if before is None:
            raise NotFound("there is no such allocation")
        require_match(if_match, before.version)
        return Change(allocations=(read_allocation(body, before, strategy, stored, known(asker)),))

    (made,) = (await asker.books.save_plans(asker.user_id, decide)).allocations
    await scheduled(asker, strategy_id)
    return versioned(allocation_view(made))


@router.delete(
    "/options/strategies/{strategy_id}/brokers/{allocation_id}",
    status_code=204,
    summary="Delete an allocation",
    responses=plan_answers(None, "It is gone.", status=204, etag=False, problems=("conflict", "in-use", *VERSIONED)),
    response_model=None,
)
async def delete_allocation(
    asker: Asking, strategy_id: StrategyId, allocation_id: AllocationId, if_match: IfMatch = None
) -> Response:
    """Not while a run of the strategy is open on its account: the answer names the run."""
    allocation = await _stored(asker, strategy_id, allocation_id)
    require_match(if_match, allocation.version)
    runs = await open_runs(asker, strategy_id)
    trading = tuple(run for run in runs if allocation.account in {each.account for each in run.allocations})
    if trading:
        raise in_use("a run trades this allocation; let it end, or exit it first", as_users(trading))
    await asker.books.delete_allocation(asker.user_id, allocation.id, version=allocation.version)
    return Response(status_code=204)


async def _stored(asker: Asker, strategy_id: str, allocation_id: str) -> Allocation:
    allocation = await found(asker.books.allocation(asker.user_id, allocation_id), "allocation")
    if allocation.strategy_id != strategy_id:
        raise NotFound("there is no such allocation")
    return allocation


def _path(allocation: Allocation) -> str:
    return f"/options/strategies/{allocation.strategy_id}/brokers/{allocation.id}"
