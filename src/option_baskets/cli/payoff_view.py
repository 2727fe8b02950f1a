"""How a strategy's payoff is shown in a terminal: its legs, what it makes and risks, its curves, its margins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite, isinf

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from option_baskets.cli.drawing import Curve, draw
from option_baskets.domain.due import is_due
from option_baskets.domain.errors import Invalid
from option_baskets.domain.instrument import exchange_of
from option_baskets.domain.session import IST, trading_days_after
from option_baskets.engine.prospect import Prospect, deviation_of, levels_of
from option_baskets.pricing.kernels import Floats
from option_baskets.pricing.margin import NOTHING, Margin
from option_baskets.pricing.payoff import (
    DAYS_A_YEAR,
    Extremes,
    Position,
    at_expiry,
    break_evens,
    extremes,
    greeks,
    probability_of_profit,
    profit,
)

_LEVELS = 601
_HEIGHT = 16
_WIDEST = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoffCurves:
    """Everything a drawing needs. Rupees over index levels."""

    name: str
    title: str
    position: Position
    levels: Floats
    expiry: Floats
    expiry_label: str
    earlier: Floats
    earlier_label: str
    break_evens: Floats
    extremes: Extremes
    probability: float
    one_deviation: tuple[float, float] | None
    """Levels one standard deviation off the forward at the horizon."""

    def limit(self, amount: float) -> str:
        """One of the extremes in words, with where the index must go if that is 0."""
        if isinf(amount):
            return "unbounded"
        only_at_zero = amount == float(at_expiry(self.position, [0.0])[0]) != float(self.expiry[0])
        return f"{amount:+,.2f}" + " (the index at 0)" * only_at_zero


def curves_of(plan: Prospect, *, days: float, shift: float) -> PayoffCurves:
    """The curves at the earliest expiry and ``days`` from now with every volatility moved by ``shift``.

    Raises:
        Invalid: ``days`` lie beyond the earliest expiry.
    """
    position = plan.position
    if days > position.horizon * DAYS_A_YEAR:
        raise Invalid(
            f"{days:g} days lie beyond the earliest expiry, in {position.horizon * DAYS_A_YEAR:.2f}", where="--days"
        )
    roots = break_evens(position)
    levels = levels_of(position, plan.volatility, _LEVELS)
    first = min(holding.contract.expiry for holding in plan.holdings)
    when = plan.valuation.snapshot.at.astimezone(IST)
    moved = f", volatility {shift * 100:+g} points" if shift else ""
    later = f"{when + timedelta(days=days):%d-%b %H:%M}" if days else f"now, {when:%d-%b %H:%M}"
    return PayoffCurves(
        name=plan.strategy.name,
        title=f"{plan.strategy.underlying} {', '.join(_words(plan))}",
        position=position,
        levels=levels,
        expiry=at_expiry(position, levels),
        expiry_label=f"at expiry, {first:%d-%b}",
        earlier=profit(position, levels, after=days / DAYS_A_YEAR, shift=shift),
        earlier_label=f"{later}{moved}",
        break_evens=roots,
        extremes=extremes(position),
        probability=probability_of_profit(position, plan.volatility),
        one_deviation=deviation_of(position, plan.volatility),
    )


def show_plan(console: Console, plan: Prospect, curves: PayoffCurves) -> None:
    """Legs, numbers and curves of one strategy."""
    at = plan.valuation.snapshot.at.astimezone(IST)
    days = curves.position.horizon * DAYS_A_YEAR
    console.print(
        f"\n[bold]{escape(plan.strategy.name)}[/]  {plan.strategy.underlying} at {at:%Y-%m-%d %H:%M:%S}, "
        f"spot {curves.position.spot:,.2f}, first expiry in {days:.2f} days",
        soft_wrap=True,
    )
    if not _is_due(plan):
        console.print("[yellow]not due on this day by its own schedule[/]")
    console.print(_legs(plan, curves.position))
    for line in _numbers(plan, curves):
        console.print(line, soft_wrap=True)
    marks = [(float(root), "▲") for root in curves.break_evens] + [(curves.position.spot, "S")]
    console.print(
        draw(
            curves.levels,
            [
                Curve(y=curves.earlier, style="bright_blue"),
                Curve(y=curves.expiry, style="green", negative="red"),
            ],
            width=min(console.width, _WIDEST),
            height=_HEIGHT,
            x_label=lambda level: f"{level:,.0f}",
            y_label=lambda rupees: f"{rupees:,.0f}",
            marks=marks,
        )
    )
    console.print(
        Text.assemble(
            ("━ ", "green"), ("━ ", "red"), f"{curves.expiry_label}   ", ("━ ", "bright_blue"), curves.earlier_label
        ),
        "[dim]  ▲ break-even  S spot[/]",
    )


def show_margins(console: Console, plans: Sequence[Prospect]) -> None:
    """The estimated margin of every account over all plans, and of the basket."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title="Margin, estimated", title_justify="left")
    table.add_column("account")
    for name in ("risk", "exposure", "expiry day", "total", "before credit"):
        table.add_column(name, justify="right", no_wrap=True)
    total = NOTHING
    for account, margin in _margins(plans):
        total += margin
        table.add_row(account, *_rupees(margin))
    table.add_section()
    table.add_row("basket", *_rupees(total))
    console.print()
    console.print(table)
    console.print(
        "[dim]An estimate from public rates, not the broker's figure; the legs of one account count together.[/]",
        soft_wrap=True,
    )


def _margins(plans: Sequence[Prospect]) -> Iterator[tuple[str, Margin]]:
    """At the latest instant, each leg at its own entry price."""
    latest = max(plans, key=lambda plan: plan.valuation.snapshot.at).valuation
    for account in dict.fromkeys(account for plan in plans for account in plan.by_account):
        yield account, latest.margin(holding for plan in plans for holding in plan.by_account.get(account, ()))


def _rupees(margin: Margin) -> list[str]:
    amounts = (margin.risk, margin.exposure, margin.expiry_day, margin.total, margin.before_credit)
    return [f"{amount:,.0f}" for amount in amounts]


def _is_due(plan: Prospect) -> bool:
    valuation, underlying = plan.valuation, plan.strategy.underlying
    assert valuation.session is not None
    day, exchange = valuation.session.date, exchange_of(valuation.facts, underlying)
    first = min(holding.contract.expiry for holding in plan.holdings)
    return is_due(
        plan.strategy, valuation.session, first, lambda until: trading_days_after(valuation.facts, day, until, exchange)
    )


def _legs(plan: Prospect, position: Position) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("leg", no_wrap=True)
    for name in ("lots", "units", "price", "IV %", "delta", "theta", "vega"):
        table.add_column(name, justify="right", no_wrap=True)
    for holding, leg in zip(plan.holdings, position.legs, strict=True):
        listing = plan.valuation.snapshot.listing(holding.contract)
        assert listing is not None
        own = greeks(Position(legs=(leg,), spot=position.spot, rate=position.rate))
        side = "BUY" if holding.units > 0 else "SELL"
        contract = holding.contract
        strike = f"{contract.strike:f} " if contract.strike is not None else ""
        table.add_row(
            f"{side:4} {contract.expiry:%d-%b} {strike}{contract.type}",
            f"{abs(holding.units) // listing.lot_size}",
            f"{holding.units:+,}",
            f"{holding.price:,.2f}",
            f"{leg.volatility * 100:.2f}" if isfinite(leg.volatility) else "-",
            f"{own.delta:+,.1f}",
            f"{own.theta:+,.0f}",
            f"{own.vega:+,.0f}",
        )
    return table


def _words(plan: Prospect) -> Iterator[str]:
    """The legs in short, with their expiry where it is not one and the same."""
    several = len({holding.contract.expiry for holding in plan.holdings}) > 1
    for holding in plan.holdings:
        contract = holding.contract
        expiry = f"{contract.expiry:%d-%b} " if several else ""
        strike = f"{contract.strike:f} " if contract.strike is not None else ""
        yield f"{holding.units:+,} {expiry}{strike}{contract.type}"


def _numbers(plan: Prospect, curves: PayoffCurves) -> Iterator[str]:
    premium = curves.position.premium
    charges = "unknown: left out" if plan.charges is None else f"{plan.charges:,.2f}"
    words = "received" if premium > 0 else "paid" if premium < 0 else "of"
    yield f"net premium {words} [bold]{abs(premium):,.2f}[/]  charges, both ways, {charges}"
    best, worst = curves.extremes
    yield f"most to make [bold]{curves.limit(best)}[/]  most to lose [bold]{curves.limit(worst)}[/]"
    spot = curves.position.spot
    roots = [f"{root:,.2f} ({(root / spot - 1) * 100:+.2f} %)" for root in curves.break_evens]
    yield f"break-even {', '.join(roots) or 'nowhere'}"
    if isfinite(curves.probability):
        yield (
            f"probability of profit {curves.probability * 100:.0f} %, were the index lognormal around the forward at "
            f"{plan.volatility * 100:.2f} %"
        )
    whole = greeks(curves.position)
    yield (
        f"delta {whole.delta:+,.1f}  gamma {whole.gamma:+,.3f}  theta {whole.theta:+,.0f} a day  "
        f"vega {whole.vega:+,.0f} a volatility point"
    )
