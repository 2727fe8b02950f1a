"""Trading by hand: strategies entered and exited now, strategies and baskets paused and resumed."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from option_baskets.api.baskets import BasketId
from option_baskets.api.http.asking import REPEAT_HEADER, Asker, Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.kill_switches import Reason
from option_baskets.api.plan_answers import basket_view, plan_answers, strategy_view, versioned
from option_baskets.api.plan_store import found
from option_baskets.api.scheduling import claims_of, scheduled
from option_baskets.api.strategies import StrategyId, stored_strategy
from option_baskets.api.views_controls import LEFT, ExitView, left_views
from option_baskets.api.views_runs import SUMMARY, SummaryView
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.kill import KillScope
from option_baskets.engine.left import left_of, parts_of
from option_baskets.engine.manual import enter_now
from option_baskets.store.edits import Change, Standing
from option_baskets.store.records import Leave

router = APIRouter(tags=["trading by hand"], route_class=RepeatableRoute)

Another = Annotated[bool, Query(description="Also where a run of it is open, or due within minutes.")]


# ---------------------------------------------------------------- entering and exiting


@router.post(
    "/options/strategies/{strategy_id}/enter",
    status_code=202,
    summary="Enter a strategy now",
    responses=answers(
        SummaryView,
        status=202,
        description="Its run is claimed, and is entered at once.",
        example=SUMMARY,
        problems=("conflict", "refused"),
        headers={"Location": "The path of the run."},
    ),
    response_model=None,
)
async def enter_strategy(asker: Asking, strategy_id: StrategyId, another: Another = False) -> Response:
    """A run of the strategy is entered now, whatever its entry minute, weekdays and DTE say; it is left at its exit.
    Entered before its entry minute, that is its run of the day, and it is not entered again at its minute.

    Refused outside trading hours (the answer says when the market opens), in a halt, while it or its basket is paused,
    where every account it trades on is killed or at a limit of the day, and from its exit on. 409 where a run of it is
    open, or is claimed for the next minutes, unless `another` is asked for. All else that an entry has to pass is asked
    where it is entered: the run then says what was refused, and why.

    With the same Idempotency-Key on the same day it is the same run.
    """
    key = asker.request.headers.get(REPEAT_HEADER, "")
    run = await enter_now(
        claims_of(asker),
        asker.user_id,
        (await stored_strategy(asker, strategy_id)).id,
        at=asker.platform.market.now(),
        actor=asker.user_id,
        key=key,
        another=another,
    )
    return Answer(SummaryView.of(run), 202, headers={"Location": f"/options/executions/{public_run_id(run.id)}"})


@router.post(
    "/options/strategies/{strategy_id}/exit",
    status_code=202,
    summary="Exit a strategy now",
    responses=answers(
        ExitView,
        status=202,
        description="What is open of it is being closed.",
        example=ExitView(strategy_id=SUMMARY.strategy_id, runs=(SUMMARY,), left=(LEFT,)),
        problems=("conflict",),
    ),
    response_model=None,
)
async def exit_strategy(asker: Asking, strategy_id: StrategyId, reason: Reason = "") -> Response:
    """Every open run of the strategy is closed at once, sold options first, with the reason `manual`, and is not
    entered again. Nothing is fenced: what is due later is entered; pause the strategy to keep it out.

    Asked for while nothing is traded, it is done when trading begins. Where nothing is open, nothing is done and `runs`
    is empty.
    """
    books, user = asker.books, asker.user_id
    parts = [(run, orders) for run, orders in await parts_of(books, user) if run.strategy.id == strategy_id]
    if not parts:
        await stored_strategy(asker, strategy_id)
    else:
        leave = Leave(user_id=user, strategy_id=strategy_id, at=asker.platform.market.now(), actor=user, reason=reason)
        await books.save_leave(leave)
        await asker.looked_at()
    left = left_of(parts, (KillScope.STRATEGY, strategy_id))
    runs = tuple(SummaryView.of(run) for run, _ in parts)
    return Answer(ExitView(strategy_id=strategy_id, runs=runs, left=left_views(left)), 202)


# ---------------------------------------------------------------- pausing


@router.post(
    "/options/strategies/{strategy_id}/pause",
    summary="Pause a strategy",
    responses=plan_answers("StoredStrategy", "It is paused.", problems=("conflict",)),
    response_model=None,
)
async def pause_strategy(asker: Asking, strategy_id: StrategyId) -> Response:
    """It is not entered any more, nor is anything of it entered again; what is open goes on by its rules. Also where a
    run of it is claimed already. Paused again, nothing changes."""
    return await _strategy(asker, strategy_id, paused=True)


@router.post(
    "/options/strategies/{strategy_id}/resume",
    summary="Resume a strategy",
    responses=plan_answers("StoredStrategy", "It is not paused.", problems=("conflict",)),
    response_model=None,
)
async def resume_strategy(asker: Asking, strategy_id: StrategyId) -> Response:
    """It is entered at its next entry minute, also if that is within the next minutes; one that has passed is not made
    up for. While its basket is paused it stays out."""
    return await _strategy(asker, strategy_id, paused=False)


@router.post(
    "/options/baskets/{basket_id}/pause",
    summary="Pause a basket",
    responses=plan_answers("StoredBasket", "It is paused.", problems=("conflict",)),
    response_model=None,
)
async def pause_basket(asker: Asking, basket_id: BasketId) -> Response:
    """As if each of its strategies were paused, which they are not themselves."""
    return await _basket(asker, basket_id, paused=True)


@router.post(
    "/options/baskets/{basket_id}/resume",
    summary="Resume a basket",
    responses=plan_answers("StoredBasket", "It is not paused.", problems=("conflict",)),
    response_model=None,
)
async def resume_basket(asker: Asking, basket_id: BasketId) -> Response:
    """Strategies that are paused themselves stay paused."""
    return await _basket(asker, basket_id, paused=False)


async def _strategy(asker: Asker, strategy_id: str, *, paused: bool) -> Response:
    strategy = await stored_strategy(asker, strategy_id)
    if strategy.paused is not paused:

        async def decide(standing: Standing) -> Change:
            now = await found(standing.strategy(strategy_id), "strategy")
            return Change(strategy=replace(now, paused=paused))

        stored = (await asker.books.save_plans(asker.user_id, decide)).strategy
        assert stored is not None
        strategy = stored
    if not paused:
        await scheduled(asker, strategy.id)
    return versioned(strategy_view(strategy))


async def _basket(asker: Asker, basket_id: str, *, paused: bool) -> Response:
    basket = await found(asker.books.basket(asker.user_id, basket_id), "basket")
    if basket.paused is not paused:

        async def decide(standing: Standing) -> Change:
            now = await found(standing.basket(basket_id), "basket")
            return Change(basket=replace(now, paused=paused))

        stored = (await asker.books.save_plans(asker.user_id, decide)).basket
        assert stored is not None
        basket = stored
    if not paused:
        strategies = await asker.books.strategies(asker.user_id, basket.id)
        await scheduled(asker, *(each.id for each in strategies))
    return versioned(basket_view(basket))
