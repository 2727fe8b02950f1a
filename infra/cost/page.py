"""docs/cost.md's tables: each stands between marks that name it, and is made anew from the inputs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path

from infra.cost.inputs import Assumed, Prices, read_counts, read_prices, read_resources
from infra.cost.month import Line, Month, Worked
from infra.entry_points import ENTRY_POINTS
from infra.environments import Environment, read

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
USERS = (10, 1_000, 100_000)
ENVIRONMENT = "production"
_BLOCK = re.compile(r"(<!-- (\w+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)


class Tables:
    """The blocks of the page, by their names."""

    def __init__(self, environment: Environment | None = None) -> None:
        self.environment = environment or read()[ENVIRONMENT]
        self.prices: Prices = read_prices()
        self.counts = read_counts()
        self.resources = read_resources(self.environment)

    @property
    def blocks(self) -> Mapping[str, Callable[[], str]]:
        return {
            "environments": self.environments_table,
            "months": self.months_table,
            "services": self.services_table,
            "functions": self.functions_table,
            "levers": self.levers_table,
            "assumed": self.assumed_table,
            "prices": self.prices_table,
        }

    def page(self, text: str) -> str:
        """The page with its blocks as they are now."""
        return _BLOCK.sub(lambda found: f"{found[1]}{self.blocks[found[2]]()}\n{found[3]}", text)

    def month(self, users: int, assumed: Assumed | None = None) -> Month:
        return Month(
            users=users,
            environment=self.environment,
            counts=self.counts,
            resources=self.resources,
            assumed=assumed or Assumed(),
        )

    @cached_property
    def lines(self) -> Mapping[int, Sequence[Line]]:
        return {users: self.month(users).lines() for users in USERS}

    def total(self, users: int, assumed: Assumed | None = None) -> float:
        lines = self.lines[users] if assumed is None else self.month(users, assumed).lines()
        return sum(line.usd(self.prices) for line in lines)

    # ------------------------------------------------------------ tables

    def services_table(self) -> str:
        services = list(dict.fromkeys(line.service for line in self.lines[USERS[0]]))
        rows = [[name, *(_usd(self._of_service(users, name)) for users in USERS)] for name in services]
        rows.append(["**all**", *(f"**{_usd(self.total(users))}**" for users in USERS)])
        rows.append(["a user", *(_usd(self.total(users) / users) for users in USERS)])
        return table(["USD a month", *(f"{users:,} users" for users in USERS)], rows)

    def environments_table(self) -> str:
        """Ten users in each."""
        rows = []
        for name, environment in read().items():
            tables = Tables(environment)
            total, nat = tables.total(10), tables._of_service(10, "NAT")
            rows.append([name, str(environment.egress.gateways), _usd(nat), _usd(total - nat), f"**{_usd(total)}**"])
        return table(["10 users in", "gateways", "of which NAT", "the rest", "USD a month"], rows)

    def _of_service(self, users: int, service: str) -> float:
        return sum(line.usd(self.prices) for line in self.lines[users] if line.service == service)

    def months_table(self) -> str:
        rows = []
        for of_each in zip(*(self.lines[users] for users in USERS), strict=True):
            first = of_each[0]
            row = [f"{first.service}: {first.what}{self._mark(first.price)}"]
            for line in of_each:
                row += [_many(line.quantity), _usd(line.usd(self.prices))]
            rows.append(row)
        heads = [head for users in USERS for head in (f"{users:,} users", "USD")]
        return table(["what", *heads], rows)

    def _mark(self, price: str) -> str:
        return "" if self.prices.by_name[price].quoted else " (UNVERIFIED)"

    def functions_table(self) -> str:
        points = {point.name: point for point in ENTRY_POINTS}
        of_users = [self.month(users).functions() for users in USERS]
        rows = []
        for name, point in points.items():
            row = [f"`{name}`", str(point.memory), str(point.timeout)]
            for worked in of_users:
                row += [_many(worked[name].invocations), _seconds(worked[name], point.timeout)]
            rows.append(row)
        heads = [head for users in USERS for head in (f"{users:,} users", "s each")]
        return table(["function", "MB", "timeout", *heads], rows)

    def levers_table(self) -> str:
        built = Assumed()
        rows = []
        for says, assumed in (
            ("as it is built: a shift a minute for everybody who holds", built),
            ("one wake-up a minute instead of two, since comparing checks too", replace(built, compared_apart=False)),
            ("that, and woken every fifth minute, or where the screen finds something (1 % of the others)",
             replace(built, compared_apart=False, woken=0.208)),
            ("that, and woken where the screen finds something only",
             replace(built, compared_apart=False, woken=0.01)),
            ("as it is built, and everybody trades at a broker: a secret opened a shift",
             replace(built, live_accounts=1.0)),
            ("held for 60 minutes instead of 355", replace(built, minutes=60)),
            ("four strategies a user instead of two", replace(built, strategies=4)),
        ):  # fmt: skip
            rows.append([says, *(_usd(self.total(users, assumed)) for users in USERS)])
        return table(["USD a month", *(f"{users:,} users" for users in USERS)], rows)

    def assumed_table(self) -> str:
        assumed = Assumed()
        rows = [[f"`{each.name}`", f"{getattr(assumed, each.name):g}"] for each in fields(assumed)]
        return table(["assumed", "value"], rows)

    def prices_table(self) -> str:
        rows = [
            [
                f"`{name}`",
                f"{price.usd * 1e6:,.4g} a million" if price.usd < 1e-3 else f"{price.usd:g}",
                price.source,
                price.read.isoformat() if price.quoted else f"UNVERIFIED ({price.read.isoformat()})",
            ]
            for name, price in self.prices.by_name.items()
        ]
        return table(["price", "USD", "source", "read"], rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *rows])


def _usd(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,.2f}"


def _many(quantity: float) -> str:
    for size, name in ((1e9, " bn"), (1e6, " m")):
        if quantity >= size:
            return f"{quantity / size:,.1f}{name}"
    return f"{quantity:,.0f}" if quantity >= 10 else f"{quantity:,.2g}"


def _seconds(worked: Worked, timeout: int) -> str:
    text = f"{worked.seconds:,.2f}" if worked.seconds < 10 else f"{worked.seconds:,.0f}"
    return f"**{text}, over its timeout**" if worked.seconds > timeout else text
