"""Kill switches: thrown, looked at, re-armed. They are written to the store, and the engine sees them there."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ConfigDict, Field, WithJsonSchema

from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.contract import CHANGES, Answer, answers
from option_baskets.api.http.forms import form, takes
from option_baskets.api.http.pages import Page, Paged
from option_baskets.api.http.repeats import RepeatableRoute
from option_baskets.api.plan_store import found
from option_baskets.api.views_controls import KILL, KillView, kill_id, subject_of
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.kill import Kill, Killed, KillScope
from option_baskets.engine.left import left_of, parts_of

router = APIRouter(prefix="/options/kill-switches", tags=["kill switches"], route_class=RepeatableRoute)

_NAMED = (KillScope.ACCOUNT, KillScope.BASKET, KillScope.STRATEGY)

KillId = Annotated[
    str,
    Path(max_length=300, description="`user`, or `{scope}~{id}`.", examples=["account~zerodha-1"]),
]
Reason = Annotated[str, Query(max_length=200, description="Why, for the history.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Throw:
    scope: Annotated[KillScope, WithJsonSchema({"type": "string", "enum": [scope.value for scope in KillScope]})]
    """The widest first: ``user`` is everything."""
    id: Annotated[str, Field(max_length=200)] | None = None
    """Of the account, basket or strategy; none for ``user``."""
    reason: Annotated[str, Field(max_length=200)] = ""
    """Why, for the history."""
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@router.get(
    "",
    summary="List kill switches that are thrown",
    responses=answers(Page[KillView], description="By id.", example=Page(items=(KILL,), next=None)),
    response_model=None,
)
async def list_kill_switches(asker: Asking, paging: Paged) -> Response:
    """Every switch that stands, with what is still open behind it."""
    kills = await asker.books.kills_of(asker.user_id)
    parts = await parts_of(asker.books, asker.user_id) if kills else ()
    return Answer(
        paging.of(
            kills, lambda kill: kill_id(kill.subject), lambda kill: KillView.of(kill, left_of(parts, kill.subject))
        )
    )


@router.post(
    "",
    status_code=201,
    summary="Throw a kill switch",
    responses=answers(
        KillView,
        status=201,
        description="It is thrown, and stands until it is re-armed.",
        example=KILL,
        problems=CHANGES,
        headers={"Location": "The path of the switch."},
    ),
    openapi_extra=takes(Throw, example={"scope": "account", "id": "zerodha-1", "reason": "wrong file"}),
    response_model=None,
)
async def throw_kill_switch(asker: Asking, request: Request) -> Response:
    """Nothing is entered behind it any more, working orders are cancelled, and what is held is exited at once, sold
    options first, again and again until it is flat.

    The answer does not wait for that: the switch is durable when it is given, and the engine of the same process looks
    for switches twice a second (of a real market's time). Then `taken_up_at` is set; ask for the switch again to see
    what is left. Where no engine runs, it is taken up before anything else when one is started.

    Thrown again, it is taken up anew.
    """
    wanted = await form(request, Throw)
    subject = await _subject(asker, wanted)
    thrown = await asker.books.save_kill(
        Kill(
            user_id=asker.user_id,
            subject=subject,
            at=asker.platform.market.now(),
            actor=asker.user_id,
            reason=wanted.reason,
        )
    )
    await asker.looked_at()
    location = f"/options/kill-switches/{kill_id(subject)}"
    return Answer(await _view(asker, thrown), 201, headers={"Location": location})


@router.get(
    "/{kill_id}",
    summary="One kill switch",
    responses=answers(KillView, example=KILL),
    response_model=None,
)
async def get_kill_switch(asker: Asking, kill_id: KillId) -> Response:
    """Whether the engine has taken it up, and what is left open behind it."""
    return Answer(await _view(asker, await _thrown(asker, kill_id)))


@router.delete(
    "/{kill_id}",
    status_code=204,
    summary="Re-arm",
    responses=answers(None, status=204, description="It no longer stands.", problems=("conflict",)),
    response_model=None,
)
async def release_kill_switch(asker: Asking, kill_id: KillId, reason: Reason = "") -> Response:
    """Entries are let through again from now on; one whose minute has passed is not made up for. What is being closed
    goes on being closed, and what another switch covers stays killed."""
    kill = await _thrown(asker, kill_id)
    await asker.books.delete_kill(kill, at=asker.platform.market.now(), actor=asker.user_id, reason=reason)
    await asker.looked_at()
    return Response(status_code=204)


async def _thrown(asker: Asker, name: str) -> Kill:
    subject = subject_of(name)
    for kill in await asker.books.kills_of(asker.user_id):
        if kill.subject == subject:
            return kill
    raise NotFound("there is no such kill switch")


async def _subject(asker: Asker, wanted: Throw) -> Killed:
    """What is meant.

    Raises:
        NotFound: the user has no such account, basket or strategy.
        Invalid: an id is given or missing where it should not be.
    """
    scope, name = wanted.scope, wanted.id or ""
    if (scope in _NAMED) is not bool(name):
        message = f"say which {scope}" if scope in _NAMED else "is given with account, basket or strategy only"
        raise Invalid(message, where="id")
    books, user = asker.books, asker.user_id
    match scope:
        case KillScope.ACCOUNT:
            await found(books.account(user, name), "account")
        case KillScope.BASKET:
            await found(books.basket(user, name), "basket")
        case KillScope.STRATEGY:
            await found(books.strategy(user, name), "strategy")
        case KillScope.USER:
            pass
    return scope, name


async def _view(asker: Asker, kill: Kill) -> KillView:
    return KillView.of(kill, left_of(await parts_of(asker.books, asker.user_id), kill.subject))
