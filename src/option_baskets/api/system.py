"""The process itself: whether it lives, whether it works, and its figures."""

from dataclasses import dataclass
from datetime import date, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from option_baskets.api.http.asking import platform_of
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.http.problems import Told
from option_baskets.api.metrics import CONTENT_TYPE
from option_baskets.domain.session import IST

router = APIRouter(tags=["system"])

_ALWAYS = ("malformed", "internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The process answers."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The process does its work."""

    status: str
    engine: str
    """``trading``, ``between_sessions``, ``over`` (every recorded day was traded) or ``elsewhere``."""
    market_time: datetime
    """The market's clock."""
    session: date | None
    """The day that is traded; null between sessions."""
    next_session: date | None
    """The day that is traded next, where none is."""


@router.get(
    "/health",
    summary="Whether the process lives",
    responses=answers(Alive, example=Alive(status="alive"), always=_ALWAYS),
    response_model=None,
)
async def health() -> Response:
    """Answers as long as the process does. Whether it can work is what `/ready` says."""
    return Answer(Alive(status="alive"))


@router.get(
    "/ready",
    summary="Whether the process works",
    responses=answers(
        Readiness,
        description="The store can be written, and the engine trades or waits for a session.",
        example=Readiness(
            status="ready",
            engine="trading",
            market_time=datetime(2026, 11, 23, 9, 20, 1, tzinfo=IST),
            session=date(2026, 11, 23),
            next_session=None,
        ),
        always=(*_ALWAYS, "unavailable"),
    ),
    response_model=None,
)
async def readiness(request: Request) -> Response:
    """503 with the cause while the engine starts, after it has halted, and while the store cannot be written."""
    platform = platform_of(request)
    now = platform.condition()
    if now.hindrance:
        raise Told(kind="unavailable", detail=now.hindrance, headers={"Retry-After": "1"})
    return Answer(
        Readiness(
            status="ready",
            engine=now.engine.value,
            market_time=platform.market.now().astimezone(IST),
            session=now.session,
            next_session=now.following,
        )
    )


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    responses={
        200: {
            "description": "Counters, gauges and histograms. No label names a user.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "option_baskets_store_writable 1.0"}},
        },
        **{code: said for code, said in answers(None, always=_ALWAYS).items() if code != 200},
    },
    response_class=PlainTextResponse,
    response_model=None,
)
async def metrics(request: Request) -> Response:
    """The text format of Prometheus, version 0.0.4."""
    return Response(platform_of(request).metrics.text(), media_type=CONTENT_TYPE)
