"""Charges against the broker's own numbers, and what is said where a rate is not known."""

import csv
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from option_baskets.adapters.facts import load
from option_baskets.domain.charges import Charges, day_rounding, order_charges, stt_exercise
from option_baskets.domain.contract import ContractType, Side
from option_baskets.domain.errors import Invalid
from option_baskets.domain.facts import Facts

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load()


def charge(
    facts: Facts,
    side: Side = Side.SELL,
    *,
    value: str = "6500",
    on: date = TODAY,
    type: ContractType = ContractType.CE,  # noqa: A002
    broker: str = "zerodha",
    exchange: str = "NSE",
    quantity: int = 65,
) -> Charges:
    return order_charges(
        facts,
        broker=broker,
        exchange=exchange,
        type=type,
        side=side,
        quantity=quantity,
        value=Decimal(value),
        on=on,
    )


def test_the_brokers_own_vectors_are_reproduced(facts: Facts, shared: Path) -> None:
    with (shared / "market" / "charges_test_vectors.csv").open(encoding="utf-8") as file:
        vectors = list(csv.DictReader(file))
    assert len(vectors) == 6
    for vector in vectors:
        quantity = int(vector["quantity"])
        charges = order_charges(
            facts,
            broker=vector["broker"],
            exchange={"NFO": "NSE", "BFO": "BSE"}[vector["exchange"]],
            type=ContractType.CE,
            side=Side(vector["side"]),
            quantity=quantity,
            value=quantity * Decimal(vector["price"]),
            on=date.fromisoformat(f"{vector['date_context']}-10"),
        )
        ours = {name: amount for name, amount in charges.components.items() if amount is not None}
        ipft = ours.pop("ipft")  # the vectors have no column for it; only the contract note adds it to exchange_txn
        if vector["id"] == "kite-note-buy":
            ours["exchange_txn"] += ipft
        if vector["id"].startswith("kite"):
            ours["stamp_duty"] = Decimal(round(ours["stamp_duty"]))
        total = sum(ours.values(), Decimal(0))
        ours |= {"sebi": ours.pop("sebi_fee"), "stamp": ours.pop("stamp_duty"), "total": total}
        expected = {column: Decimal(vector[column]) for column in ours}
        assert len(ours) == 7
        for column, amount in ours.items():
            assert abs(amount - expected[column]) <= Decimal("0.000001"), (vector["id"], column)


@pytest.mark.parametrize(
    ("on", "option", "future"),
    [
        (date(2023, 3, 31), "0.05", "0.01"),
        (date(2023, 4, 3), "0.0625", "0.0125"),
        (date(2024, 10, 1), "0.1", "0.02"),
        (date(2026, 4, 1), "0.15", "0.05"),
    ],
)
def test_transaction_tax_is_paid_by_the_seller_at_the_rate_of_the_day(
    facts: Facts, on: date, option: str, future: str
) -> None:
    assert charge(facts, Side.SELL, on=on, value="100").stt == Decimal(option)
    assert charge(facts, Side.SELL, on=on, value="100", type=ContractType.FUT).stt == Decimal(future)
    assert charge(facts, Side.BUY, on=on, value="100").stt == 0


def test_a_future_costs_what_its_table_says(facts: Facts) -> None:
    """One lot of NIFTY at 23,000, bought today: 1,495,000 rupees."""
    charges = charge(facts, Side.BUY, value="1495000", type=ContractType.FUT)
    assert charges.components == {
        "brokerage": Decimal(20),  # 0.03 % would be 448.50
        "exchange_txn": Decimal("27.357005"),
        "ipft": Decimal("0.001495"),
        "sebi_fee": Decimal("1.495"),
        "stt": Decimal(0),
        "stamp_duty": Decimal("29.9"),
        "gst": Decimal("8.7933609"),
    }
    assert charges.total == Decimal("87.5468609")
    assert charge(facts, Side.SELL, value="1495000", type=ContractType.FUT).stt == Decimal("747.5")


def test_brokerage_of_a_small_future_order_is_the_percentage(facts: Facts) -> None:
    assert charge(facts, value="1000", type=ContractType.FUT).brokerage == Decimal("0.3")


@pytest.mark.parametrize(
    ("broker", "on", "rupees"),
    [("zerodha", TODAY, 20), ("angelone", TODAY, 20), ("shoonya", TODAY, 5), ("shoonya", date(2024, 12, 1), 0)],
)
def test_brokerage_is_flat_per_order(facts: Facts, broker: str, on: date, rupees: int) -> None:
    assert charge(facts, broker=broker, on=on).brokerage == rupees


def test_an_order_without_a_fill_costs_nothing(facts: Facts) -> None:
    assert charge(facts, quantity=0, value="0").total == 0


def test_a_slab_nobody_could_tell_us_is_unknown_and_not_nothing(facts: Facts) -> None:
    charges = charge(facts, exchange="BSE", on=date(2024, 6, 3))
    assert charges.unknown == ("exchange_txn", "gst")
    assert charges.total is None
    assert charges.stt == Decimal("4.0625")


def test_rates_of_2017_are_unknown(facts: Facts) -> None:
    charges = charge(facts, Side.BUY, on=date(2017, 4, 3))
    assert charges.unknown == ("exchange_txn", "ipft", "sebi_fee", "stamp_duty", "gst")
    assert charges.total is None


def test_every_charge_of_june_2022_is_known(facts: Facts) -> None:
    for type_ in (ContractType.PE, ContractType.FUT):
        assert charge(facts, on=date(2022, 6, 30), type=type_).unknown == ()


def test_a_broker_without_brokerage_is_named_with_the_known_ones(facts: Facts) -> None:
    with pytest.raises(Invalid, match=r"'groww'.*angelone, shoonya, zerodha"):
        charge(facts, broker="groww")


def test_the_holder_of_an_exercised_option_pays_tax_on_its_intrinsic_value(facts: Facts) -> None:
    intrinsic = Decimal(10_000)
    assert stt_exercise(facts, exchange="NSE", intrinsic_value=intrinsic, on=TODAY) == 15
    assert stt_exercise(facts, exchange="NSE", intrinsic_value=intrinsic, on=date(2026, 3, 30)) == Decimal("12.5")
    assert stt_exercise(facts, exchange="NSE", intrinsic_value=intrinsic, on=date(2017, 4, 27)) is None


def test_a_day_rounds_tax_and_stamp_duty_once_and_not_per_order(facts: Facts) -> None:
    sell = charge(facts, Side.SELL, value="300")  # STT 0.45
    buy = charge(facts, Side.BUY, value="300")  # stamp duty 0.009
    assert day_rounding([sell]) == Decimal("-0.45")
    assert day_rounding([sell, sell, buy]) == Decimal("0.1") - Decimal("0.009")
    assert day_rounding([]) == 0


def test_half_a_rupee_is_rounded_up(facts: Facts) -> None:
    assert day_rounding([charge(facts, Side.SELL, value="1000")]) == Decimal("0.5")


def test_the_rounding_of_a_day_with_an_unknown_tax_is_unknown(facts: Facts) -> None:
    assert day_rounding([replace(charge(facts), stt=None)]) is None
