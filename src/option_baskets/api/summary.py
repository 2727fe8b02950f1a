"""Lots, units and margin by account over all strategies."""

from dataclasses import dataclass
from decimal import Decimal

from fastapi import APIRouter, Response

from option_baskets.api.http.asking import Asking
from option_baskets.api.http.contract import Answer, answers
from option_baskets.api.market_time import AnyDay, prices_now, today
from option_baskets.api.views_runs import SUMMARY
from option_baskets.domain.money import rupees
from option_baskets.domain.reasons import Reason
from option_baskets.engine.allotment import AccountTotal, Allotted, allotment_of
from option_baskets.pricing.margin import Margin

router = APIRouter(tags=["allocations"])


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginView:
    """Rupees, an estimate without SPAN files (docs/pricing.md)."""

    total: Decimal
    """Risk, exposure and expiry day."""
    risk: Decimal
    """The worst loss over price scenarios, net of the premium."""
    exposure: Decimal
    expiry_day: Decimal
    before_credit: Decimal
    """What is blocked until the premium received is credited."""

    @classmethod
    def of(cls, margin: Margin | None) -> "MarginView | None":
        if margin is None:
            return None
        return cls(
            total=_rupees(margin.total),
            risk=_rupees(margin.risk),
            exposure=_rupees(margin.exposure),
            expiry_day=_rupees(margin.expiry_day),
            before_credit=_rupees(margin.before_credit),
        )


def _rupees(amount: float) -> Decimal:
    return rupees(Decimal(repr(amount)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """One strategy on one account."""

    account: str
    basket_id: str
    strategy_id: str
    strategy: str
    allocation_id: str
    paused: bool
    """The strategy or its basket is."""
    units: int | None
    """Null: allocated leg by leg."""
    lots: dict[str, int]
    """By leg, lazy ones included."""
    margin: MarginView | None
    """Of it alone; null: not known, `reason` says why."""
    reason: Reason | None
    detail: str

    @classmethod
    def of(cls, part: Allotted) -> "PartView":
        reason, detail = part.unknown if part.unknown is not None else (None, "")
        return cls(
            account=part.allocation.account,
            basket_id=part.basket.id,
            strategy_id=part.strategy.id,
            strategy=part.strategy.name,
            allocation_id=part.allocation.id,
            paused=part.strategy.paused or part.basket.paused,
            units=part.units,
            lots=dict(part.lots),
            margin=MarginView.of(part.margin),
            reason=reason,
            detail=detail,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalView:
    """All strategies on one account."""

    account: str
    strategies: int
    lots: int
    margin: MarginView | None
    """Of everything together, netted by contract; null where part of it is not known."""

    @classmethod
    def of(cls, total: AccountTotal) -> "TotalView":
        return cls(
            account=total.account,
            strategies=total.strategies,
            lots=total.lots,
            margin=MarginView.of(total.margin),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationsView:
    estimate: str
    """How the margins were made, in words."""
    accounts: tuple[TotalView, ...]
    parts: tuple[PartView, ...]
    """By account, then by strategy."""


ESTIMATE = (
    "Margins are estimates: strikes are those an entry would choose at the prices known now, every strategy is taken "
    "as entered whole and held at once, and the rates are ours, not those of the exchange's SPAN file."
)
_MARGIN = MarginView.of(Margin(risk=118_000.0, exposure=33_800.0, expiry_day=33_800.0, credit=11_765.0))
_EXAMPLE = AllocationsView(
    estimate=ESTIMATE,
    accounts=(TotalView(account="zerodha-1", strategies=1, lots=2, margin=_MARGIN),),
    parts=(
        PartView(
            account="zerodha-1",
            basket_id=SUMMARY.basket_id,
            strategy_id=SUMMARY.strategy_id,
            strategy=SUMMARY.strategy,
            allocation_id="income.straddle.zerodha-1",
            paused=False,
            units=1,
            lots={"1": 1, "2": 1},
            margin=_MARGIN,
            reason=None,
            detail="",
        ),
    ),
)


@router.get(
    "/options/allocations/summary",
    summary="Lots and margin by account",
    responses=answers(AllocationsView, example=_EXAMPLE),
    response_model=None,
)
async def get_allocations_summary(asker: Asking, date: AnyDay = None) -> Response:
    """What the plans take on each account over all strategies, or over those that trade on a day.

    Units set by a policy are those of the day, or where it has not divided them yet of the last one.
    """
    platform = asker.platform
    found = await allotment_of(
        asker.books,
        platform.facts,
        user_id=asker.user_id,
        today=today(platform),
        day=date,
        market=await prices_now(platform),
        session=platform.session(),
    )
    return Answer(
        AllocationsView(
            estimate=ESTIMATE,
            accounts=tuple(map(TotalView.of, found.accounts)),
            parts=tuple(map(PartView.of, found.parts)),
        )
    )
