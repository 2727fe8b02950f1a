"""The user's own limits, over every account and basket."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import WithJsonSchema

from option_baskets.adapters.basket_file.fields import Fields, Report
from option_baskets.api.http.asking import Asker, Asking
from option_baskets.api.http.bodies import document
from option_baskets.api.http.contract import CHANGES, ETAG, VERSIONED, answers
from option_baskets.api.http.etags import IfMatch, IfNoneMatch, etag, is_known, require_match
from option_baskets.api.plan_answers import PlanAnswer, unchanged
from option_baskets.domain.errors import Invalid
from option_baskets.domain.losses import UserLimits

router = APIRouter(tags=["limits"])

_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "max_daily_loss": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "description": "Rupees; null, or left out: no limit.",
        }
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsView:
    max_daily_loss: Annotated[Decimal, WithJsonSchema({"type": "number"})] | None
    """Rupees of net loss in a day, over everything and with what is open, at which all of it is left and nothing is
    entered for the rest of that day. A number, as in a file."""
    version: int
    """0: none was ever set."""


EXAMPLE = {"max_daily_loss": 50000, "version": 3}


@router.get(
    "/options/limits",
    summary="The user's own limits",
    responses=answers(LimitsView, example=EXAMPLE, headers=ETAG) | {304: {"description": "They are as they were."}},
    response_model=None,
)
async def get_limits(asker: Asking, request: Request, _: IfNoneMatch = None) -> Response:
    """Where none was ever set, there is none, with version 0."""
    limits = await _limits(asker)
    if is_known(request, limits.version):
        return unchanged(limits.version)
    return _answer(limits)


@router.put(
    "/options/limits",
    summary="Change the user's own limits",
    responses=answers(
        LimitsView,
        description="As they are now.",
        example=EXAMPLE,
        problems=(*CHANGES, *VERSIONED),
        headers=ETAG,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _BODY, "example": {"max_daily_loss": 50000}}},
        }
    },
    response_model=None,
)
async def replace_limits(asker: Asking, request: Request, if_match: IfMatch = None) -> Response:
    """The engine goes by them within half a second, from its next check on. A day that a limit has ended stays ended,
    whatever it is raised to."""
    before = await _limits(asker)
    require_match(if_match, before.version)
    loss = _read(await document(request))
    limits = UserLimits(max_daily_loss=loss, version=before.version)
    now = asker.platform.market.now()
    saved = await asker.books.save_limits(asker.user_id, limits, at=now, actor=asker.user_id)
    await asker.looked_at()
    return _answer(saved)


async def _limits(asker: Asker) -> UserLimits:
    return await asker.books.limits(asker.user_id) or UserLimits()


def _answer(limits: UserLimits) -> Response:
    view = LimitsView(max_daily_loss=limits.max_daily_loss, version=limits.version)
    return PlanAnswer(view, headers={"ETag": etag(limits.version)})


def _read(body: object) -> Decimal | None:
    """Raises Invalid: it is no object with these limits."""
    if not isinstance(body, Mapping):
        raise Invalid('send an object, e.g. {"max_daily_loss": 50000}')
    report = Report()
    table = Fields({key: value for key, value in body.items() if value is not None}, "", report)
    loss = table.optional("max_daily_loss", "50000", decimals=2)
    table.close()
    report.raise_if_any()
    return loss
