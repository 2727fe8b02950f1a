from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import pytest

from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.copies import copied
from option_baskets.domain.reasons import ExitReason
from option_baskets.domain.run import LegPosition

CALL = Contract(underlying="NIFTY", expiry=date(2026, 11, 24), type=ContractType.CE, strike=Decimal(25_000))
POSITION = LegPosition(
    leg="1",
    account="a",
    entry_number=0,
    contract=CALL,
    side=Side.SELL,
    lots=2,
    lot_size=75,
    freeze_quantity=1800,
    tick=Decimal("0.05"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Fields named like what a copier is made with."""

    value: int = 1
    copy: int = 2
    new: int = 3
    cls: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    at_most_five: int

    def __post_init__(self) -> None:
        if self.at_most_five > 5:
            raise ValueError("above five")


def test_a_copy_is_what_dataclasses_replace_makes() -> None:
    changes = {"entered": 150, "entered_value": Decimal(9_000), "entry_final": True, "exit_reason": ExitReason.STOP}
    assert copied(POSITION, **changes) == replace(POSITION, **changes)  # type: ignore[arg-type]
    assert copied(copied(POSITION, **changes), exit_reason=None) == replace(
        POSITION, entered=150, entered_value=Decimal(9_000), entry_final=True
    )


def test_a_copy_leaves_the_value_it_is_of() -> None:
    copied(POSITION, lots=3)
    assert POSITION.lots == 2


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        copied(POSITION, colour="red")


def test_a_class_that_checks_its_fields_is_not_copied_unchecked() -> None:
    with pytest.raises(TypeError, match=r"use dataclasses\.replace"):
        copied(Checked(at_most_five=5), at_most_five=6)


def test_no_name_of_a_field_gets_in_the_way() -> None:
    assert copied(Named(), value=5, cls=6) == Named(value=5, copy=2, new=3, cls=6)
