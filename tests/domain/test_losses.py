"""Limits of losses: sums over runs, accounts and days, held against sums written out the long way."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from option_baskets.domain.allocation import AllocationLimits
from option_baskets.domain.contract import Contract, Side
from option_baskets.domain.losses import (
    Breach,
    HighWater,
    Limits,
    Over,
    Result,
    Rule,
    breaches,
    limits_of,
    marked,
    results,
    totals,
)
from option_baskets.domain.market import Snapshot
from option_baskets.domain.run import LegPosition, Run
from tests.engine.plans import CALL, allocation, basket, instant, run, strategy
from tests.engine.small_market import SmallMarket

ZERO = Decimal(0)
names = st.sampled_from(["a", "b", "c"])
amounts = st.decimals(min_value=-20_000, max_value=20_000, places=4)
sizes = st.decimals(min_value=Decimal("0.01"), max_value=30_000, places=2)
parts = st.lists(st.builds(Result, basket=names, strategy=names, account=names, net=amounts), max_size=12)


@given(
    parts,
    st.dictionaries(names, sizes),
    st.dictionaries(names, sizes),
    st.dictionaries(st.tuples(names, names), sizes),
    st.dictionaries(names, st.tuples(sizes, amounts, amounts)),
)
def test_what_is_reached_is_what_plain_sums_say(
    made: list[Result],
    accounts: dict[str, Decimal],
    baskets: dict[str, Decimal],
    allocations: dict[tuple[str, str], Decimal],
    falls: dict[str, tuple[Decimal, Decimal, Decimal]],
) -> None:
    limits = Limits(
        losses={(Over.ACCOUNT, name, ""): limit for name, limit in accounts.items()}
        | {(Over.BASKET, name, ""): limit for name, limit in baskets.items()}
        | {(Over.ALLOCATION, *pair): limit for pair, limit in allocations.items()},
        falls={name: limit for name, (limit, _, _) in falls.items()},
    )
    highs = {name: HighWater(made=before, highest=max(high, ZERO)) for name, (_, before, high) in falls.items()}
    expected = set()
    for name, limit in accounts.items():
        if sum(each.net for each in made if each.account == name) <= -limit:
            expected.add((Over.ACCOUNT, name, "", Rule.MAX_DAILY_LOSS))
    for name, limit in baskets.items():
        if sum(each.net for each in made if each.basket == name) <= -limit:
            expected.add((Over.BASKET, name, "", Rule.MAX_DAILY_LOSS))
    for (plan, account), limit in allocations.items():
        if sum(each.net for each in made if (each.strategy, each.account) == (plan, account)) <= -limit:
            expected.add((Over.ALLOCATION, plan, account, Rule.MAX_DAILY_LOSS))
    for name, (limit, before, high) in falls.items():
        if max(high, ZERO) - before - sum(each.net for each in made if each.basket == name) >= limit:
            expected.add((Over.BASKET, name, "", Rule.MAX_DRAWDOWN))
    found = breaches(totals(made), limits, highs)
    assert {(*breach.subject, breach.rule) for breach in found} == expected
    order = [list(Over).index(breach.subject[0]) for breach in found]
    assert order == sorted(order)


@given(st.lists(st.tuples(amounts, st.lists(amounts, max_size=4)), max_size=6))
def test_the_highest_is_that_of_the_whole_path_however_the_days_cut_it(
    days: list[tuple[Decimal, list[Decimal]]],
) -> None:
    """Each day: what is seen at its checks, and what it ends with."""
    mark = HighWater()
    path = [ZERO]
    made = ZERO
    for number, (end, seen) in enumerate(days, 1):
        for today in (*seen, end):
            mark = mark.at(today)
            path.append(made + today)
            assert (mark.highest, mark.fall(today)) == (max(path), max(path) - path[-1])
        for _ in range(2):  # a close that is counted twice counts once
            mark = mark.closed(date(2026, 11, number), end)
        made += end
        assert mark.made == made


def position(
    side: Side, account: str, *, entered: str, exited: str = "0", units: int = 0, **changes: object
) -> LegPosition:
    """130 units entered for ``entered`` rupees, of which ``units`` were closed for ``exited``."""
    (plain,) = run().positions
    held = replace(
        plain,
        side=side,
        account=account,
        entered=130,
        entered_value=Decimal(entered),
        exited=units,
        exited_value=Decimal(exited),
        entry_time=instant("09:20"),
        entry_final=True,
    )
    return replace(held, **changes)  # type: ignore[arg-type]


def snapshot(prices: Mapping[Contract, str]) -> Snapshot:
    market = SmallMarket(())
    for contract, last in prices.items():
        market.set(contract, instant("09:59"), last)
    return market.view(instant("10:00"))


lots = st.lists(
    st.tuples(
        st.sampled_from(Side), names, st.integers(1, 300), st.integers(0, 300), amounts.map(abs), amounts.map(abs)
    ),
    max_size=6,
)


@given(lots, st.dictionaries(names, amounts), st.dictionaries(names, amounts), st.integers(1, 2000))
def test_a_run_made_the_money_that_came_in_less_what_went_out_and_what_its_holdings_are_worth(
    held: list[tuple[Side, str, int, int, Decimal, Decimal]],
    charges: dict[str, Decimal],
    baseline: dict[str, Decimal],
    last: int,
) -> None:
    expected: dict[str, Decimal] = {}
    positions = []
    for side, account, entered, left, paid, taken in held:
        units = max(entered - left, 0)
        got = taken if units else ZERO
        opened = position(side, account, entered=str(paid), exited=str(got), units=units)
        positions.append(replace(opened, entered=entered))
        cash = got - paid if side is Side.BUY else paid - got
        worth = (entered - units) * last * (1 if side is Side.BUY else -1)
        expected[account] = expected.get(account, ZERO) + cash + worth
    for account in expected:
        expected[account] -= charges.get(account, ZERO) + baseline.get(account, ZERO)
    of = replace(run(), positions=tuple(positions), baseline=baseline)
    assert {each.account: each.net for each in results(of, snapshot({CALL: str(last)}), charges)} == expected


def test_a_days_result_is_net_of_charges_and_of_what_was_made_before() -> None:
    """Sold 130 at 100, now 110: -1,300; 30 of the other 130 went back at 90: 300, the rest -1,000. Charges 50."""
    held = replace(
        run(),
        positions=(
            position(Side.SELL, "one", entered="13000"),
            position(Side.SELL, "two", entered="13000", exited="2700", units=30),
        ),
        baseline={"two": Decimal(-400)},
    )
    found = results(held, snapshot({CALL: "110"}), {"one": Decimal(50)})
    assert {each.account: each.net for each in found} == {"one": Decimal(-1350), "two": Decimal(-700 + 400)}


def test_without_a_price_of_the_day_the_last_closes_mark_holds() -> None:
    held = replace(run(), positions=(position(Side.SELL, "one", entered="13000"),))
    evening = marked(held, snapshot({CALL: "120"}), {"one": Decimal(50)})
    assert evening.baseline == {"one": Decimal(-2650)}
    assert evening.positions[0].mark == Decimal(120)
    (morning,) = results(evening, snapshot({}), {"one": Decimal(50)})
    assert morning.net == 0
    (later,) = results(evening, snapshot({CALL: "121"}), {"one": Decimal(50)})
    assert later.net == -130


def test_closing_again_at_the_same_prices_changes_nothing() -> None:
    held = replace(run(), positions=(position(Side.SELL, "one", entered="13000"),))
    prices, charges = snapshot({CALL: "120"}), {"one": Decimal(50)}
    evening = marked(held, prices, charges)
    assert marked(evening, prices, charges) == evening


def limited(version: int, loss: int | None, of: Run) -> Run:
    amount = None if loss is None else Decimal(loss)
    mine = replace(allocation(of.strategy.id), limits=AllocationLimits(max_daily_loss=amount), version=version)
    return replace(of, basket=basket(max_daily_loss=amount, version=version), allocations=(mine,))


def test_of_several_versions_the_newest_limit_counts_and_none_is_none() -> None:
    first, second = run(), run(cycle=1)
    newest = limits_of([limited(2, 4000, second), limited(1, 5000, first)], {})
    assert set(newest.losses.values()) == {Decimal(4000)}
    assert not limits_of([limited(2, None, second), limited(1, 5000, first)], {}).any
    assert limits_of([run()], {"zerodha-1": Decimal(1)}).losses == {(Over.ACCOUNT, "zerodha-1", ""): Decimal(1)}


def test_a_loss_just_at_its_limit_reaches_it_and_a_paisa_less_does_not() -> None:
    limits = Limits(losses={(Over.BASKET, "a", ""): Decimal(5000)})
    for net, reached in (("-5000", True), ("-4999.99", False)):
        made = totals([Result(basket="a", strategy="s", account="x", net=Decimal(net))])
        found = breaches(made, limits, {})
        assert found == (
            (Breach(subject=(Over.BASKET, "a", ""), rule=Rule.MAX_DAILY_LOSS, loss=Decimal(5000), limit=Decimal(5000)),)
            if reached
            else ()
        )


def test_the_strategy_is_the_unit_of_an_allocation() -> None:
    """Two strategies on one account: one's loss is nothing to the other's limit."""
    limits = Limits(losses={(Over.ALLOCATION, strategy().id, "x"): Decimal(100)})
    other = totals([Result(basket="a", strategy="other", account="x", net=Decimal(-1000))])
    assert breaches(other, limits, {}) == ()
