"""Identities: a function of what they name, in the shape every broker takes as a tag."""

import re
from datetime import date
from itertools import product

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
