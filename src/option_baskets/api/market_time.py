"""The day and the prices that are now on the market's clock, and days as parameters."""

from datetime import date
from typing import Annotated

from fastapi import Query

from option_baskets.api.platform import Platform
from option_baskets.domain.errors import NotFound
from option_baskets.domain.market import Snapshot
from option_baskets.domain.session import IST

FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)
DAY_SCHEMA = {"pattern": "^20[0-9]{2}-[0-9]{2}-[0-9]{2}$"}

AnyDay = Annotated[
    date | None,
    Query(alias="date", ge=FIRST, le=LAST, description="Only of this day.", json_schema_extra=DAY_SCHEMA),
]
Day = Annotated[
    date | None,
    Query(
        alias="date",
        ge=FIRST,
        le=LAST,
        description="A day on the exchange's calendar; left out: the one it is on the market's clock.",
        json_schema_extra=DAY_SCHEMA,
    ),
]


def today(platform: Platform) -> date:
    """The day it is on the market's clock."""
    return platform.market.now().astimezone(IST).date()


async def prices_now(platform: Platform) -> Snapshot | None:
    """Every price known now; None where the market has no day now."""
    try:
        return await platform.feed.snapshot(platform.market.now())
    except NotFound:
        return None
