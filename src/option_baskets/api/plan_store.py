"""What routes of plans read and judge a change by, and the names of what is new."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeVar

from option_baskets.adapters.basket_file.changes import Known, Stored
from option_baskets.api.http.asking import REPEAT_HEADER, Asker
from option_baskets.api.http.problems import Told, User
from option_baskets.domain.basket import Basket, Strategy
from option_baskets.domain.due import latest_mis_exits
from option_baskets.domain.errors import Invalid, NotFound
from option_baskets.domain.facts import Facts
from option_baskets.domain.ids import public_run_id
from option_baskets.domain.run import Run
from option_baskets.store.edits import Standing

T = TypeVar("T")


async def found(read: Awaitable[T | None], what: str) -> T:
    """What was read.

    Raises:
        NotFound: there is none, or none could have that id; the two are told alike.
    """
    try:
        value = await read
    except Invalid:
        value = None
    if value is None:
        raise NotFound(f"there is no such {what}")
    return value


async def stored_in(asker: Asker, standing: Standing, basket: Basket) -> Stored:
    """The basket with all that stands in it."""
    strategies = await standing.strategies(basket.id)
    ids = {each.id for each in strategies}
    allocations = [each for each in await standing.all_allocations() if each.strategy_id in ids]
    return Stored(
        basket=basket,
        strategies=strategies,
        allocations=tuple(sorted(allocations, key=lambda each: (each.priority, each.id))),
        accounts=tuple(await asker.books.accounts(asker.user_id)),
    )


async def stored_around(asker: Asker, standing: Standing, strategy_id: str) -> tuple[Strategy, Stored]:
    """A strategy, and its basket with all that stands in it. Raises NotFound."""
    strategy = await found(standing.strategy(strategy_id), "strategy")
    basket = await found(standing.basket(strategy.basket_id), "basket")
    return strategy, await stored_in(asker, standing, basket)


def known(asker: Asker) -> Known:
    return _known(asker.platform.facts)


@lru_cache(maxsize=4)
def _known(facts: Facts) -> Known:
    return Known(underlyings=facts.names, latest_mis=latest_mis_exits(facts))


async def open_runs(asker: Asker, strategy_id: str) -> tuple[Run, ...]:
    """The strategy's runs that are not over."""
    return tuple(run for run in await asker.books.open_runs(asker.user_id) if run.strategy.id == strategy_id)


async def once(asker: Asker) -> str:
    """Names what this request makes, where it may come again: by its Idempotency-Key and what it says."""
    key = asker.request.headers.get(REPEAT_HEADER)
    if key is None:
        return ""
    body = hashlib.sha256(await asker.request.body()).hexdigest()
    return "\x1f".join((asker.request.url.path, key, body))


async def free_strategy_id(asker: Asker, standing: Standing, wanted: str) -> str:
    """As ``free_id``; one whose strategy is deleted and has traded is not free: its history would be the new one's."""

    async def is_taken(name: str) -> bool:
        if await standing.strategy(name) is not None:
            return True
        return bool((await asker.books.over_listed(asker.user_id, name, after=None, most=1)).items)

    return await free_id(wanted, is_taken)


async def free_id(wanted: str, is_taken: Callable[[str], Awaitable[bool]]) -> str:
    """The id itself, or with the first number that makes it one nothing has."""
    number, name = 1, wanted
    while await is_taken(name):
        number += 1
        name = f"{wanted}-{number}"
    return name


def in_use(detail: str, used_by: tuple[User, ...]) -> Told:
    return Told(kind="in-use", detail=detail, used_by=used_by)


def as_users(runs: tuple[Run, ...]) -> tuple[User, ...]:
    return tuple(User(kind="run", id=public_run_id(run.id), name=run.strategy.name) for run in runs)
