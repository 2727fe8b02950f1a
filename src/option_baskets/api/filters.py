"""Filters that lists have in common."""

from typing import Annotated

from fastapi import Path, Query

from option_baskets.domain.errors import NotFound
from option_baskets.domain.ids import run_id_of

_ID = {"min_length": 1, "max_length": 200, "pattern": "^[^#]+$"}

StrategyFilter = Annotated[str | None, Query(description="Only of this strategy.", **_ID)]
AccountFilter = Annotated[str | None, Query(description="Only on this account.", **_ID)]
RunFilter = Annotated[str | None, Query(max_length=300, description="Only of this run: `{date}~{strategy}~{cycle}`.")]

PublicRun = Annotated[
    str, Path(max_length=300, description="`{date}~{strategy}~{cycle}`, e.g. `2026-11-24~straddle.straddle~0`.")
]


def stored_run(public: str) -> str:
    """The run's own id.

    Raises:
        NotFound: the text names none.
    """
    found = run_id_of(public)
    if found is None:
        raise NotFound(NO_RUN)
    return found


NO_RUN = "there is no such run"
