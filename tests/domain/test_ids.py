"""Identities: a function of what they name, in the shape every broker takes as a tag."""

import os
import re
from collections.abc import Callable
from datetime import date
from itertools import product
from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.ids import TAG_LENGTH, Action, intent_id, run_id

PARTS = st.fixed_dictionaries(
    {
        "user_id": st.text(min_size=1, max_size=8),
        "run": st.text(min_size=1, max_size=8),
        "leg": st.text(min_size=1, max_size=8),
        "account": st.text(min_size=1, max_size=8),
        "entry_number": st.integers(0, 20),
        "action": st.sampled_from(Action),
        "attempt": st.integers(0, 50),
        "slice_number": st.integers(0, 50),
    }
)


@given(parts=PARTS)
def test_a_tag_is_at_most_twenty_capital_letters_and_digits_and_always_the_same(parts: dict[str, object]) -> None:
    tag = intent_id(**parts)  # type: ignore[arg-type]
    assert re.fullmatch("[A-Z0-9]{20}", tag)
    assert len(tag) == TAG_LENGTH
    assert tag == intent_id(**parts)  # type: ignore[arg-type]


def test_every_part_counts() -> None:
    tags = {
        intent_id(
            user_id=user,
            run=run,
            leg=leg,
            account=account,
            entry_number=entry,
            action=action,
            attempt=attempt,
            slice_number=number,
        )
        for user, run, leg, account, entry, action, attempt, number in product(
            ("a", "b"), ("r", "s"), ("1", "2"), ("x", "y"), (0, 1), Action, (0, 1), range(100)
        )
    }
    assert len(tags) == 2**7 * 100


INTENTS = 500_000 if os.environ.get("OPTION_BASKETS_FUZZ", "1") == "1" else 10_000_000
"""The sample; ``make fuzz`` takes all ten million."""
PLACES = (40, 250, 10, 6, 4, 3, 2, 4, 10)
"""Users, days, strategies, legs, accounts, entry numbers, actions, attempts and slices: 576 million orders."""
STRIDE = 104_729
"""A prime that divides none of them, so that the first orders it steps through are all different."""


def intent(number: int) -> str:
    parts = []
    for places in PLACES:
        number, part = divmod(number, places)
        parts.append(part)
    user, day, strategy, leg, account, entry, action, attempt, slice_number = parts
    return intent_id(
        user_id=f"user-{user}",
        run=f"2026-{day:03}#strategy-{strategy}#0",
        leg=str(leg),
        account=f"account-{account}",
        entry_number=entry,
        action=(Action.ENTER, Action.EXIT)[action],
        attempt=attempt,
        slice_number=slice_number,
    )


def test_no_two_of_millions_of_intents_have_one_id(record_property: Callable[[str, object], None]) -> None:
    space = prod(PLACES)
    assert space > INTENTS
    tags = np.fromiter((intent(index * STRIDE % space) for index in range(INTENTS)), dtype="S20", count=INTENTS)
    tags.sort()
    assert not (tags[1:] == tags[:-1]).any()
    record_property("tally", f"{INTENTS:,} intents, {INTENTS:,} ids")


def test_parts_that_read_the_same_joined_are_not_the_same() -> None:
    def tag(leg: str, account: str, attempt: int, number: int) -> str:
        return intent_id(
            user_id="u",
            run="r",
            leg=leg,
            account=account,
            entry_number=0,
            action=Action.ENTER,
            attempt=attempt,
            slice_number=number,
        )

    assert tag("1", "11", 0, 0) != tag("11", "1", 0, 0)
    assert tag("1", "1", 1, 11) != tag("1", "1", 11, 1)


def test_a_run_is_named_by_day_strategy_and_cycle() -> None:
    assert run_id(date(2026, 11, 24), "income.straddle") == "2026-11-24#income.straddle#0"
    assert run_id(date(2026, 11, 24), "income.straddle", 2) == "2026-11-24#income.straddle#2"
