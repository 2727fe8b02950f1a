"""Every strike rule on a recorded day: real prices, gaps, an expiry today, and an index whose spot nobody recorded."""

from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from option_baskets.adapters.facts import load
from option_baskets.adapters.feeds.recorded import RecordedFeed, RecordedSnapshot
from option_baskets.cli import main
from option_baskets.domain.basket import LegSpec, Pick, Reference, Schedule, Strategy, Strike, StrikeRule
from option_baskets.domain.contract import Contract, ContractType, Side
from option_baskets.domain.errors import Refused
from option_baskets.domain.reference import reference_price
from option_baskets.domain.resolve import resolve
from option_baskets.domain.session import IST
from option_baskets.engine.valuation import Valuation
from tests.domain.strike_oracle import Known, assert_no_better

FACTS = load()
DAY = date(2026, 2, 3)
"""Expiry day of NIFTY's weekly; BANKNIFTY and MIDCPNIFTY have three weeks to go, and no spot of MIDCPNIFTY is there."""
TIMES = [time(10, 0), time(11, 1), time(12, 35), time(15, 0)]
OPTIONS = (ContractType.CE, ContractType.PE)


def rules() -> list[Strike]:
    ticks = [Decimal(each) for each in ("0.05", "3", "12.5", "50", "120", "400", "2000")]
    one_value = (Pick.CLOSEST, Pick.AT_LEAST, Pick.AT_MOST)
    found = [Strike(rule=StrikeRule.PREMIUM, pick=pick, value=value) for pick, value in product(one_value, ticks)]
    found += [Strike(rule=StrikeRule.PREMIUM, pick=Pick.RANGE, low=x, high=x * Decimal("1.2")) for x in ticks]
    shares = [Decimal(each) for each in ("1", "10", "33.3", "100", "250")]
    found += [
        Strike(rule=StrikeRule.STRADDLE_PERCENT, pick=pick, percent=share) for pick, share in product(one_value, shares)
    ]
    steps = [Decimal(each) for each in ("-1.5", "-0.3", "0", "0.25", "1", "2.5")]
    found += [Strike(rule=StrikeRule.STRADDLE_WIDTH, k=k) for k in steps]
    found += [Strike(rule=StrikeRule.ATM_PERCENT, percent=percent) for percent in steps]
    found += [Strike(rule=StrikeRule.ATM_POINTS, points=100 * points) for points in steps]
    deltas = [Decimal(each) for each in ("0.02", "0.1", "0.25", "0.5", "0.8", "0.97")]
    return found + [Strike(rule=StrikeRule.DELTA, pick=Pick.CLOSEST, value=delta) for delta in deltas]


def plan(underlying: str, rule: Strike, type_: ContractType, reference: Reference) -> Strategy:
    return Strategy(
        id="s",
        basket_id="b",
        name="s",
        underlying=underlying,
        schedule=Schedule(entry=time(9, 20), exit=time(15, 15)),
        legs=(LegSpec(id="1", side=Side.SELL, type=type_, strike=rule),),
        reference=reference,
    )


@pytest.fixture(scope="module")
def feed(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordedFeed:
    out = tmp_path_factory.mktemp("chain")
    source = shared / "data" / "intraday" / "nse_index_chain_5min_2026.parquet"
    result = CliRunner().invoke(main, ["import", "nse-chain", str(source), "--date", f"{DAY}", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return RecordedFeed(out)


def known_at(snapshot: RecordedSnapshot, valuation: Valuation, underlying: str, reference: Decimal) -> Known:
    expiry = snapshot.expiries(underlying)[0]
    contracts = tuple(
        contract for contract in snapshot.contracts() if (contract.underlying, contract.expiry) == (underlying, expiry)
    )
    quotes = {contract: snapshot.quote(contract) for contract in contracts}
    fresh = {
        contract: quote.last
        for contract, quote in quotes.items()
        if quote is not None and snapshot.at - quote.as_of <= snapshot.stale_after
    }
    deltas = {contract: delta for contract in contracts if (delta := valuation.delta(contract)) is not None}
    return Known(contracts=contracts, fresh=fresh, deltas=deltas, reference=reference)


def chosen(strategy: Strategy, snapshot: RecordedSnapshot, valuation: Valuation) -> Contract:
    return resolve(strategy, snapshot, valuation.delta).contracts["1"]


def test_on_real_prices_every_choice_is_the_best_there_was(feed: RecordedFeed) -> None:
    market = feed.market(DAY)
    outcomes: Counter[tuple[str, str]] = Counter()
    for at in TIMES:
        snapshot = market.snapshot(datetime.combine(DAY, at, IST))
        valuation = Valuation(facts=FACTS, snapshot=snapshot, session=market.recorded.session)
        for underlying in ("NIFTY", "BANKNIFTY", "MIDCPNIFTY"):
            wanted = Reference.SYNTHETIC if underlying == "MIDCPNIFTY" else Reference.SPOT
            try:
                level = reference_price(plan(underlying, rules()[0], ContractType.CE, wanted), snapshot).level
            except Refused:
                outcomes["no reference", underlying] += 1
                continue
            known = known_at(snapshot, valuation, underlying, level)
            for rule, type_ in product(rules(), OPTIONS):
                choice = partial(chosen, plan(underlying, rule, type_, wanted), snapshot, valuation)
                outcomes[rule.rule, assert_no_better(rule, type_, known, choice)] += 1
    for name in set(StrikeRule) - {StrikeRule.ATM, StrikeRule.STRIKE, StrikeRule.OF_LEG}:
        assert outcomes[name, "chosen"] >= 20, outcomes
    assert outcomes["premium", "no_eligible_strike"] > 0
    assert outcomes["no reference", "NIFTY"] > 0, "the recording pauses once"
