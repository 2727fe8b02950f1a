"""Strategies: legs on one underlying with their rules, in a basket."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from option_baskets.adapters.basket_file.changes import read_new_strategy, read_strategy_again
from option_baskets.api.baskets import BasketId
from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, VERSIONED
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, is_known, require_match
from option_baskets.api.http.pages import Paged
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_answers import (
    PlanAnswer,
    allocation_view,
    listed,
    plan_answers,
    plan_body,
    strategy_view,
    unchanged,
    versioned,
)
from option_baskets.api.plan_store import (
    as_users,
    found,
    free_strategy_id,
    in_use,
    known,
    once,
    open_runs,
    stored_around,
    stored_in,
)
from option_baskets.api.scheduling import scheduled
from option_baskets.domain.basket import Strategy
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.run import RunStatus
from option_baskets.store.edits import Change, Standing

router = APIRouter(tags=["strategies"], route_class=RepeatableRoute)

StrategyId = Annotated[
    str, Path(description="Made from the names of basket and strategy when it was created.", examples=["income.condor"])
]
BasketFilter = Annotated[str | None, Query(description="Only the strategies of this basket.", max_length=200)]


@router.get(
    "/options/strategies",
    summary="List strategies",
    responses=plan_answers("StrategyPage", "Strategies, sorted by id, without their allocations.", etag=False),
    response_model=None,
)
async def list_strategies(asker: Asking, paging: Paged, basket_id: BasketFilter = None) -> Response:
    """All strategies of the user, or those of one basket, a page at a time."""
    strategies = await asker.books.strategies(asker.user_id, basket_id)
    return PlanAnswer(paging.of(strategies, lambda each: each.id, listed.view))


@router.post(
    "/options/baskets/{basket_id}/strategies",
    status_code=201,
    summary="Create a strategy",
    responses=plan_answers(
        "CreatedStrategy",
        "The strategy and its allocations, made together.",
        status=201,
        problems=CHANGES,
        links=("get_strategy", "replace_strategy", "delete_strategy", "create_leg", "create_allocation"),
        strategy_id="id",
    ),
    openapi_extra=plan_body("NewStrategy"),
    response_model=None,
)
async def create_strategy(asker: Asking, request: Request, basket_id: BasketId) -> Response:
    """The body is one `[[strategies]]` table of a basket file as JSON, with its legs, and with its allocations if it is
    to be traded: all of it is stored, or nothing.

    Its id is made from the basket's and its name, with a number behind it where another strategy has that id,
    or one that is deleted has traded under it.
    """
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        basket = await found(standing.basket(basket_id), "basket")
        stored = await stored_in(asker, standing, basket)
        strategy, allocations = read_new_strategy(body, stored, known(asker))
        strategy = replace(strategy, id=await free_strategy_id(asker, standing, strategy.id))
        named = [replace(each, id=f"{strategy.id}.{each.account}", strategy_id=strategy.id) for each in allocations]
        return Change(strategy=strategy, allocations=tuple(named))

    made = await asker.books.save_plans(asker.user_id, decide, once=await once(asker))
    assert made.strategy is not None
    await scheduled(asker, made.strategy.id)
    view = strategy_view(made.strategy) | {"allocations": [allocation_view(each) for each in made.allocations]}
    return versioned(view, status=201, location=f"/options/strategies/{made.strategy.id}")


@router.get(
    "/options/strategies/{strategy_id}",
    summary="One strategy",
    responses=plan_answers("StoredStrategy", "The strategy, without its allocations.", unchanged=True),
    response_model=None,
)
async def get_strategy(asker: Asking, request: Request, strategy_id: StrategyId, _: IfNoneMatch = None) -> Response:
    """The strategy with its legs, and its version as ETag. Its allocations have versions of their own."""
    strategy = await stored_strategy(asker, strategy_id)
    if is_known(request, strategy.version):
        return unchanged(strategy.version)
    return versioned(strategy_view(strategy))


@router.put(
    "/options/strategies/{strategy_id}",
    summary="Change a strategy",
    responses=plan_answers(
        "EditedStrategy", "The strategy as it is now, and from when that counts.", problems=CHANGES + VERSIONED
    ),
    openapi_extra=plan_body("StrategyEdit"),
    response_model=None,
)
async def replace_strategy(
    asker: Asking, request: Request, strategy_id: StrategyId, if_match: IfMatch = None
) -> Response:
    """The body replaces the strategy whole, its legs too: a key that is left out is at its default again. Its id and
    its allocations stay; the change is refused where these would not agree with it.

    It counts from the next entry. A run that is open goes on with the version it entered with; the answer names it.
    """
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        before, stored = await stored_around(asker, standing, strategy_id)
        require_match(if_match, before.version)
        return Change(strategy=read_strategy_again(body, before, stored, known(asker)))

    made = (await asker.books.save_plans(asker.user_id, decide)).strategy
    await scheduled(asker, strategy_id)
    return await edited(asker, made)


@router.delete(
    "/options/strategies/{strategy_id}",
    status_code=204,
    summary="Delete a strategy",
    responses=plan_answers(
        None, "It is gone, and its allocations.", status=204, etag=False, problems=("conflict", "in-use", *VERSIONED)
    ),
    response_model=None,
)
async def delete_strategy(asker: Asking, strategy_id: StrategyId, if_match: IfMatch = None) -> Response:
    """The strategy and its allocations. Not while a run of it is open: the answer names the run."""
    strategy = await stored_strategy(asker, strategy_id)
    require_match(if_match, strategy.version)
    runs = await open_runs(asker, strategy.id)
    if runs:
        raise in_use("a run of the strategy is open; let it end, or exit it first", as_users(runs))
    await asker.books.delete_strategy(asker.user_id, strategy.id, version=strategy.version)
    return Response(status_code=204)


async def stored_strategy(asker: Asker, strategy_id: str) -> Strategy:
    """Raises NotFound."""
    return await found(asker.books.strategy(asker.user_id, strategy_id), "strategy")


async def edited(asker: Asker, strategy: Strategy | None) -> Response:
    """The answer to an edit of a strategy: with the runs it does not reach. One that is only claimed enters by it."""
    assert strategy is not None
    runs = [
        {"id": public_run_id(run.id), "version": run.strategy.version, "exit_at": run.exit_at}
        for run in await open_runs(asker, strategy.id)
        if run.status is not RunStatus.SCHEDULED
    ]
    return versioned(strategy_view(strategy) | {"counts_from": "next_entry", "open_runs": runs})
