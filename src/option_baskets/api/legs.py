"""Legs of a strategy, one by one. Each is a part of its strategy and changes with its version."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from option_baskets.adapters.basket_file.changes import read_leg, without_leg
from option_baskets.api.http.asking import Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, VERSIONED
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, is_known, require_match
from option_baskets.api.http.pages import Paged
from option_baskets.api.http.problems import User
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_answers import PlanAnswer, leg_view, plan_answers, plan_body, unchanged, versioned
from option_baskets.api.plan_store import in_use, known, once, stored_around
from option_baskets.api.strategies import StrategyId, edited, stored_strategy
from option_baskets.domain.allocation import Allocation
from option_baskets.domain.basket import LegSpec, Strategy
from option_baskets.domain.cover import covered_by
from option_baskets.domain.errors import NotFound
from option_baskets.store.edits import Change, Standing

router = APIRouter(tags=["legs"], route_class=RepeatableRoute)

LegId = Annotated[str, Path(description="Its id within the strategy.", examples=["1"])]


@router.get(
    "/options/strategies/{strategy_id}/legs",
    summary="List the legs of a strategy",
    responses=plan_answers("LegPage", "Its legs, sorted by id.", etag=False),
    response_model=None,
)
async def list_legs(asker: Asking, paging: Paged, strategy_id: StrategyId) -> Response:
    """The order in which they were written, which is that of their entry, is that of the strategy itself."""
    strategy = await stored_strategy(asker, strategy_id)
    return PlanAnswer(paging.of(strategy.legs, lambda leg: leg.id, lambda leg: leg_view(strategy, leg)))


@router.post(
    "/options/strategies/{strategy_id}/legs",
    status_code=201,
    summary="Add a leg",
    responses=plan_answers(
        "StoredLeg",
        "The leg, the last of its strategy.",
        status=201,
        problems=CHANGES,
        links=("get_leg", "replace_leg", "delete_leg"),
        strategy_id="strategy_id",
        leg_id="id",
    ),
    openapi_extra=plan_body("NewLeg"),
    response_model=None,
)
async def create_leg(asker: Asking, request: Request, strategy_id: StrategyId) -> Response:
    """The body is one `[[strategies.legs]]` table of a basket file as JSON. It comes after the legs there are; without
    an id it gets the number of its place. The strategy has a new version; it counts from the next entry."""
    body = await document(request)
    made: list[LegSpec] = []

    async def decide(standing: Standing) -> Change:
        before, stored = await stored_around(asker, standing, strategy_id)
        after = read_leg(body, None, before, stored, known(asker))
        made[:] = after.legs[-1:]
        return Change(strategy=after)

    after = (await asker.books.save_plans(asker.user_id, decide, once=await once(asker))).strategy
    assert after is not None
    leg = made[0] if made else after.legs[-1]
    location = f"/options/strategies/{after.id}/legs/{leg.id}"
    return versioned(leg_view(after, leg), status=201, location=location)


@router.get(
    "/options/strategies/{strategy_id}/legs/{leg_id}",
    summary="One leg",
    responses=plan_answers("StoredLeg", "The leg, with its strategy's version.", unchanged=True),
    response_model=None,
)
async def get_leg(
    asker: Asking, request: Request, strategy_id: StrategyId, leg_id: LegId, _: IfNoneMatch = None
) -> Response:
    """The leg; its ETag is the version of its strategy."""
    strategy = await stored_strategy(asker, strategy_id)
    leg = _leg(strategy, leg_id)
    if is_known(request, strategy.version):
        return unchanged(strategy.version)
    return versioned(leg_view(strategy, leg))


@router.put(
    "/options/strategies/{strategy_id}/legs/{leg_id}",
    summary="Change a leg",
    responses=plan_answers("StoredLeg", "The leg as it is now.", problems=CHANGES + VERSIONED),
    openapi_extra=plan_body("LegEdit"),
    response_model=None,
)
async def replace_leg(
    asker: Asking, request: Request, strategy_id: StrategyId, leg_id: LegId, if_match: IfMatch = None
) -> Response:
    """The body replaces the leg whole; it keeps its id and its place. Refused where the strategy or its allocations
    would not agree with it. It counts from the next entry."""
    body = await document(request)

    async def decide(standing: Standing) -> Change:
        before, stored = await stored_around(asker, standing, strategy_id)
        _leg(before, leg_id)
        require_match(if_match, before.version)
        return Change(strategy=read_leg(body, leg_id, before, stored, known(asker)))

    after = (await asker.books.save_plans(asker.user_id, decide)).strategy
    assert after is not None
    return versioned(leg_view(after, after.leg(leg_id)))


@router.delete(
    "/options/strategies/{strategy_id}/legs/{leg_id}",
    summary="Remove a leg",
    responses=plan_answers("EditedStrategy", "The strategy without it.", problems=("conflict", "in-use", *VERSIONED)),
    response_model=None,
)
async def delete_leg(asker: Asking, strategy_id: StrategyId, leg_id: LegId, if_match: IfMatch = None) -> Response:
    """Not while something needs it: a sold leg it covers, a leg that names it, an allocation with lots of it, or the
    strategy, whose only leg it is. The answer names them. It counts from the next entry."""

    async def decide(standing: Standing) -> Change:
        before, stored = await stored_around(asker, standing, strategy_id)
        _leg(before, leg_id)
        require_match(if_match, before.version)
        used_by = _users(before, leg_id, stored.of(before))
        if used_by:
            raise in_use(f'leg "{leg_id}" is needed; change what needs it first', used_by)
        return Change(strategy=without_leg(leg_id, before, stored, known(asker)))

    return await edited(asker, (await asker.books.save_plans(asker.user_id, decide)).strategy)


def _leg(strategy: Strategy, leg_id: str) -> LegSpec:
    leg = next((each for each in strategy.legs if each.id == leg_id), None)
    if leg is None:
        raise NotFound("there is no such leg")
    return leg


def _users(strategy: Strategy, leg_id: str, allocations: tuple[Allocation, ...]) -> tuple[User, ...]:
    """What needs the leg."""
    if len(strategy.legs) == 1:
        return (User(kind="strategy", id=strategy.id, name=strategy.name),)
    needing = set(covered_by(strategy, leg_id))
    for leg in strategy.legs:
        rules = [each for each in (leg.on_stop, leg.on_target) if each is not None]
        measured = leg.strike.leg if leg.strike is not None else None
        if leg_id == measured or any(leg_id in each.wakes for each in rules):
            needing.add(leg.id)
    legs = [User(kind="leg", id=each.id) for each in strategy.legs if each.id in needing and each.id != leg_id]
    lots = [User(kind="allocation", id=each.id) for each in allocations if leg_id in (each.leg_lots or ())]
    return (*legs, *lots)
