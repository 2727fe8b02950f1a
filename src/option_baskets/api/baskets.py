"""Baskets: what a user's strategies stand in."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from option_baskets.adapters.basket_file.changes import read_basket_again, read_new_basket
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, VERSIONED
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, is_known, require_match
from option_baskets.api.http.pages import Paged
from option_baskets.api.http.problems import User
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_answers import PlanAnswer, basket_view, plan_answers, plan_body, unchanged, versioned
from option_baskets.api.plan_store import found, free_id, in_use, once, stored_in
from option_baskets.api.scheduling import scheduled
from option_baskets.domain.basket import Basket
from option_baskets.store.edits import Change, Standing

router = APIRouter(tags=["baskets"], route_class=RepeatableRoute)

BasketId = Annotated[str, Path(description="Made from the basket's name when it was created.", examples=["income"])]


@router.get(
    "/options/baskets",
    summary="List baskets",
    responses=plan_answers("BasketPage", "Baskets, sorted by id.", etag=False),
    response_model=None,
)
async def list_baskets(asker: Asking, paging: Paged) -> Response:
    """All baskets of the user, a page at a time."""
    baskets = await asker.books.baskets(asker.user_id)
    return PlanAnswer(paging.of(baskets, lambda each: each.id, basket_view))


@router.post(
    "/options/baskets",
    status_code=201,
    summary="Create a basket",
    responses=plan_answers(
        "StoredBasket",
        "The basket, without strategies yet.",
        status=201,
        problems=CHANGES,
        links=("get_basket", "replace_basket", "delete_basket", "create_strategy"),
        basket_id="id",
    ),
    openapi_extra=plan_body("NewBasket"),
    response_model=None,
)
async def create_basket(asker: Asking, request: Request) -> Response:
    """The body is the `[basket]` table of a basket file as JSON, with its `dynamic` policies inside.

    Its id is made from its name, with a number behind it where another basket has that id.
    """
    basket = read_new_basket(await document(request))

    async def decide(standing: Standing) -> Change:
        async def is_taken(name: str) -> bool:
            return await standing.basket(name) is not None

        return Change(basket=replace(basket, id=await free_id(basket.id, is_taken)))

    made = (await asker.books.save_plans(asker.user_id, decide, once=await once(asker))).basket
    assert made is not None
    return versioned(basket_view(made), status=201, location=f"/options/baskets/{made.id}")


@router.get(
    "/options/baskets/{basket_id}",
    summary="One basket",
    responses=plan_answers("StoredBasket", "The basket as it is stored.", unchanged=True),
    response_model=None,
)
async def get_basket(asker: Asking, request: Request, basket_id: BasketId, _: IfNoneMatch = None) -> Response:
    """The basket, with its version as ETag."""
    basket = await _basket(asker, basket_id)
    return unchanged(basket.version) if is_known(request, basket.version) else versioned(basket_view(basket))


@router.put(
    "/options/baskets/{basket_id}",
    summary="Change a basket",
    responses=plan_answers("StoredBasket", "The basket as it is now.", problems=CHANGES + VERSIONED),
    openapi_extra=plan_body("BasketEdit"),
    response_model=None,
)
async def replace_basket(asker: Asking, request: Request, basket_id: BasketId, if_match: IfMatch = None) -> Response:
    """The body replaces the basket whole: a key that is left out is at its default again. Its id stays.

    Refused where what stands in the basket would not agree with it: a policy that allocations share is gone or has too
    few units for them, or it becomes a live basket with allocations on paper accounts.
    """
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        before = await found(standing.basket(basket_id), "basket")
        require_match(if_match, before.version)
        return Change(basket=read_basket_again(body, await stored_in(asker, standing, before)))

    made = (await asker.books.save_plans(asker.user_id, decide)).basket
    assert made is not None
    if not made.paused:
        strategies = await asker.books.strategies(asker.user_id, made.id)
        await scheduled(asker, *(each.id for each in strategies))
    return versioned(basket_view(made))


@router.delete(
    "/options/baskets/{basket_id}",
    status_code=204,
    summary="Delete a basket",
    responses=plan_answers(None, "It is gone.", status=204, etag=False, problems=("conflict", "in-use", *VERSIONED)),
    response_model=None,
)
async def delete_basket(asker: Asking, basket_id: BasketId, if_match: IfMatch = None) -> Response:
    """Only a basket without strategies is deleted; else the answer names them."""
    basket = await _basket(asker, basket_id)
    require_match(if_match, basket.version)
    strategies = await asker.books.strategies(asker.user_id, basket.id)
    if strategies:
        used_by = tuple(User(kind="strategy", id=each.id, name=each.name) for each in strategies)
        raise in_use(f"the basket still has {len(strategies)} strategies; delete them first", used_by)
    await asker.books.delete_basket(asker.user_id, basket.id, version=basket.version)
    return Response(status_code=204)


async def _basket(asker: Asking, basket_id: str) -> Basket:
    return await found(asker.books.basket(asker.user_id, basket_id), "basket")
